"""Fine-tuning as one writes it who knows how, in plain torch and timm.

The head is solved first (a logistic regression on the frozen features) and put onto the network; then all of it
learns: AdamW, 1e-4 for the network and 1e-3 for the head, one cosine over 30 epochs, or over the time that is left
where that is less; BatchNorm's statistics stay; crops and, where they keep the label, mirrored pictures. Pictures are
decoded once and kept.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import timm
import torch
from contract import Probabilities, Task, main
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torchvision.transforms import v2

BACKBONE, SIDE = "tf_efficientnet_lite0", 224
BATCH, MOST_EPOCHS = 16, 30
NETWORK_LR, HEAD_LR, WEIGHT_DECAY = 1e-4, 1e-3, 1e-4
RESERVED = 3.0
"""Seconds for the last step and for writing the model."""


def decoded(paths: list[str]) -> Tensor:
    """Return pictures as the network takes them, uint8 (n, 3, 224, 224)."""
    pictures = [np.asarray(Image.open(p).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for p in paths]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def normalised(pictures: Tensor) -> Tensor:
    """Return float32 of the mean and the deviation .5 that the weights ask for."""
    return (pictures.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def outputs(net: nn.Module, pictures: Tensor) -> Tensor:
    return torch.cat([net(normalised(batch)) for batch in pictures.split(32)])


def network(n_classes: int, *, pretrained: bool) -> nn.Module:
    net = timm.create_model(BACKBONE, pretrained=pretrained, num_classes=n_classes)
    return net.to(memory_format=torch.channels_last).eval()


def solve_head(net: nn.Module, pictures: Tensor, y: np.ndarray) -> None:
    """Set the network's linear classifier to the logistic regression on its features; two classes become two rows."""
    head, net.classifier = net.classifier, nn.Identity()
    solved = LogisticRegression(max_iter=1000).fit(outputs(net, pictures).numpy(), y)
    coefficients, intercepts = solved.coef_, solved.intercept_
    if len(coefficients) == 1:
        coefficients, intercepts = np.concatenate([-coefficients, coefficients]) / 2, np.r_[-intercepts, intercepts] / 2
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(coefficients))
        head.bias.copy_(torch.from_numpy(intercepts))
    net.classifier = head


def augmentation(mirrored: bool) -> v2.Compose:
    crop = v2.RandomResizedCrop(SIDE, scale=(0.7, 1.0), antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip(0.5 if mirrored else 0.0)])


def tune(net: nn.Module, pictures: Tensor, y: Tensor, task: Task) -> None:
    """Train everything until the schedule or the budget ends; in evaluation mode, so that BatchNorm stays as it is."""
    head = {id(p) for p in net.classifier.parameters()}
    groups = [
        {"params": [p for p in net.parameters() if id(p) not in head], "lr": NETWORK_LR},
        {"params": list(net.classifier.parameters()), "lr": HEAD_LR},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    rates, augment = [NETWORK_LR, HEAD_LR], augmentation(task.mirrored)
    per_epoch, begun = math.ceil(len(y) / BATCH), time.monotonic()
    steps, step = per_epoch * MOST_EPOCHS, 0
    left = max(task.left - RESERVED, 0.1)
    while step < steps:
        for rows in torch.randperm(len(y)).split(BATCH):
            share = max(step / steps, (time.monotonic() - begun) / left)
            if share >= 1:
                return
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * (1 + math.cos(math.pi * share)) / 2
            batch = normalised(torch.stack([augment(pictures[row]) for row in rows]))
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(batch), y[rows]).backward()
            optimiser.step()
            step += 1


def train(task: Task) -> None:
    torch.manual_seed(task.seed)
    classes, y = np.unique(task.labels, return_inverse=True)
    pictures, net = decoded(task.paths), network(len(classes), pretrained=True)
    solve_head(net, pictures, y)
    tune(net, pictures, torch.from_numpy(y), task)
    torch.save({"classes": classes.tolist(), "state": net.state_dict()}, task.model)


def predict(paths: list[str], model: Path) -> Probabilities:
    kept = torch.load(model, weights_only=True)
    net = network(len(kept["classes"]), pretrained=False)
    net.load_state_dict(kept["state"])
    return kept["classes"], outputs(net, decoded(paths)).softmax(1).tolist()


if __name__ == "__main__":
    main(train, predict)
