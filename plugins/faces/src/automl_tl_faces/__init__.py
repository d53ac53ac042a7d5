"""Two networks trained on faces, as backbones for automl-tl. This imports no torch."""

from automl_tl_faces.backbone import FaceBackbone, face_resnet29, inception_resnet_v1

__all__ = ["FaceBackbone", "face_resnet29", "inception_resnet_v1"]
