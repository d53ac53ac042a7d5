"""Any torchvision classifier, by name, as a backbone for automl-tl. This imports neither torch nor torchvision."""

from automl_tl_torchvision.backbone import TorchvisionBackbone
from automl_tl_torchvision.family import TorchvisionFamily, family

__all__ = ["TorchvisionBackbone", "TorchvisionFamily", "family"]
