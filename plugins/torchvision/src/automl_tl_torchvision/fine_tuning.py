"""How torchvision's networks are fine-tuned, from the recipes that were published with their architectures.

ConvNets with BatchNorm are left to automl-tl's own defaults, which were measured on EfficientNet-Lite.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.convnext import ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torchvision.models.vision_transformer import VisionTransformer

RATE = 5e-5
"""Of the last stage, for AdamW's steps of 16 to 32 pictures. ConvNeXt: 5e-5 for 512 (facebookresearch/ConvNeXt,
TRAINING.md). MAE's ViT-B: 5e-4 for 256, by its linear scaling 3e-5 to 6e-5 (facebookresearch/mae, FINETUNE.md). Swin:
2e-5 for 512, done with 1,024 (microsoft/Swin-Transformer, configs/swin/*_22kto1k_finetune.yaml)."""
LARGE = 1024
"""Channels from which a vision transformer is a large one."""
CONVNEXT_GROUPS = 13
"""The layers that ConvNeXt's decay is counted in: twelve groups of blocks and the stem."""


def fine_tuning(net: nn.Module, n_stages: int) -> dict[str, Any] | None:
    """Return what is published of fine-tuning a network, as the fields of automl-tl's `FineTuning`.

    Layer decays: of a vision transformer 0.65, of large ones 0.75 (MAE, FINETUNE.md); of Swin 0.8 (SimMIM,
    microsoft/Swin-Transformer, configs/simmim/simmim_finetune__swin_base*.yaml); of ConvNeXt 0.8 (TRAINING.md).
    """
    if isinstance(net, VisionTransformer):
        decay, n_layers = 0.75 if net.hidden_dim >= LARGE else 0.65, len(net.encoder.layers) + 1
    elif isinstance(net, SwinTransformer):
        decay, n_layers = 0.8, sum(isinstance(module, SwinTransformerBlock) for module in net.modules()) + 1
    elif isinstance(net, ConvNeXt):
        decay, n_layers = 0.8, CONVNEXT_GROUPS
    else:
        return None
    each = decay ** (n_layers / n_stages) if n_stages > 1 else 1.0
    return {"learning_rate": RATE, "layer_decay": each, "undecayed": _undecayed(net)}


def _undecayed(net: nn.Module) -> tuple[str, ...]:
    """Return position embeddings, Swin's biases, class tokens and ConvNeXt's layer scales, as their recipes do.

    Here a layer scale is (C, 1, 1), and so looks like a matrix.
    """
    endings = ("pos_embedding", "relative_position_bias_table", "class_token", "layer_scale")
    return tuple(name for name, _ in net.named_parameters() if name.endswith(endings))
