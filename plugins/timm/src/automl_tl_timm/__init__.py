"""Any timm classifier, by name, as a backbone for automl-tl. This imports neither torch nor timm."""

from automl_tl_timm.backbone import TimmBackbone
from automl_tl_timm.family import TimmFamily, family

__all__ = ["TimmBackbone", "TimmFamily", "family"]
