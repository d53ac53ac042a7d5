"""EfficientNet-Lite0, 1 and 2 with their ImageNet weights, as backbones for automl-tl."""

from automl_tl_efficientnet_lite.backbone import EfficientNetLite, lite0, lite1, lite2

__all__ = ["EfficientNetLite", "lite0", "lite1", "lite2"]
