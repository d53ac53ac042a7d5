"""How timm's networks are fine-tuned, from the recipes that were published with their architectures.

A family is known by the module of timm that its class comes from. ConvNets with BatchNorm are left to automl-tl's own
defaults, which were measured on EfficientNet-Lite.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

from torch import nn

RATE = 5e-5
"""Of the last stage, for AdamW's steps of 16 to 32 pictures. ConvNeXt: 5e-5 for 512 (facebookresearch/ConvNeXt,
TRAINING.md). MAE's ViT-B: 5e-4 for 256, by its linear scaling 3e-5 to 6e-5 (facebookresearch/mae, FINETUNE.md). Swin:
2e-5 for 512, done with 1,024 (microsoft/Swin-Transformer, configs/swin/*_22kto1k_finetune.yaml)."""
LARGE = 1024
"""Channels from which a vision transformer is a large one."""
CONVNEXT_GROUPS = 13
"""The layers that ConvNeXt's decay is counted in: twelve groups of blocks and the stem."""


def fine_tuning(net: nn.Module, n_stages: int) -> dict[str, Any]:
    """Return what is published of fine-tuning a network of timm, as the fields of automl-tl's `FineTuning`."""
    undecayed = {"undecayed": _undecayed(net)}
    family = FAMILIES.get(type(net).__module__.rpartition(".")[2])
    if family is not None:
        decay, n_layers = family(net)
        each = decay ** (n_layers / n_stages) if n_stages > 1 else 1.0
        return {"learning_rate": RATE, "layer_decay": each, **undecayed}
    layers = {type(module) for module in net.modules()}
    batchnorm = any(issubclass(one, nn.modules.batchnorm._BatchNorm) for one in layers)
    return undecayed if batchnorm else {"learning_rate": RATE, **undecayed}


def transformer(net: Any) -> tuple[float, int]:
    """Return the layer decay of a plain vision transformer, and its layers: the embedding and the blocks.

    0.65 for base, 0.75 for large and huge ones, in MAE (FINETUNE.md) as in BEiT (microsoft/unilm, beit).
    """
    return (0.75 if net.num_features >= LARGE else 0.65), len(net.blocks) + 1


def swin(net: Any) -> tuple[float, int]:
    """Return Swin's layer decay, and its layers: the embedding and the blocks.

    0.8 in SimMIM's Swin-B (microsoft/Swin-Transformer, configs/simmim/simmim_finetune__swin_base*.yaml).
    """
    stages = net.layers if hasattr(net, "layers") else net.stages
    return 0.8, sum(len(stage.blocks) for stage in stages) + 1


def convnext(net: Any) -> tuple[float, int]:
    """Return ConvNeXt's layer decay, and the groups that it is counted in.

    0.8 from ImageNet-22k, at 224 pixels (facebookresearch/ConvNeXt, TRAINING.md).
    """
    return 0.8, CONVNEXT_GROUPS


FAMILIES: dict[str, Callable[[Any], tuple[float, int]]] = {
    "vision_transformer": transformer,
    "deit": transformer,
    "beit": transformer,
    "eva": transformer,
    "swin_transformer": swin,
    "swin_transformer_v2": swin,
    "swin_transformer_v2_cr": swin,
    "convnext": convnext,
}


def _undecayed(net: Any) -> tuple[str, ...]:
    """Return the parameters that timm names as having no weight decay: position embeddings, class tokens."""
    patterns = net.no_weight_decay() if hasattr(net, "no_weight_decay") else ()
    return tuple(name for name, _ in net.named_parameters() if any(fnmatch(name, one) for one in patterns))
