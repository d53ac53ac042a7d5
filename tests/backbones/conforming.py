"""A small backbone that keeps the contract, and one broken variant for every conformance check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def stage(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU())


class Good:
    """Three stages with BatchNorm; its "pretrained" weights are the same everywhere and no initial values."""

    api_version = 1
    input_size = 32
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    pretrained_on = "toys"
    labels = ("ball", "doll")

    def build(self, *, pretrained: bool = True) -> nn.Module:
        module = self.layers()
        if pretrained:
            module.load_state_dict(self.state(module))
        return module

    def layers(self) -> nn.Module:
        return nn.Sequential(*(stage(*widths) for widths in ((3, 4), (4, 6), (6, 8))))

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(7)
        return {
            name: torch.rand(t.shape, generator=generator) - (0.0 if "var" in name else 0.4)
            if t.is_floating_point()
            else t
            for name, t in module.state_dict().items()
        }

    def stages(self, module: nn.Module) -> list[nn.Module]:
        return list(module.children())

    def classifier(self, module: nn.Module) -> nn.Module:
        return nn.Linear(8, 2)


class Then(nn.Module):
    """A stage that does `function` to the output of `inner`."""

    def __init__(self, inner: nn.Module, function: Callable[[Any, Tensor], Any], **tensors: Tensor) -> None:
        super().__init__()
        self.inner, self.function = inner, function
        for name, tensor in tensors.items():
            setattr(self, name, tensor)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.inner(x))


def variant(**members: Any) -> Good:
    return type("Bad", (Good,), members)()


def ending_in(function: Callable[[Any, Tensor], Any], **tensors: Tensor) -> Good:
    """Return a variant whose last stage ends in `function`."""

    def stages(self: Good, module: nn.Module) -> list[nn.Module]:
        first, second, third = module.children()
        return [first, second, Then(third, function, **tensors)]

    return variant(stages=stages)


def _shortcut() -> Good:
    """A skip connection from the first stage to the last, through an attribute."""

    def stages(self: Good, module: nn.Module) -> list[nn.Module]:
        first, second, third = module.children()
        kept: dict[str, Tensor] = {}

        def keep(_: Any, x: Tensor) -> Tensor:
            kept["x"] = x
            return x

        def add(_: Any, x: Tensor) -> Tensor:
            return x + kept["x"].mean((1, 2, 3), keepdim=True)

        return [Then(first, keep), second, Then(third, add)]

    return variant(stages=stages)


def _drift(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        self.total.add_(1.0)
    return x


def _counting() -> Good:
    """A buffer of the first stage that changes in eval mode too."""

    def layers(self: Good) -> nn.Module:
        module = Good.layers(self)
        module[0].register_buffer("total", torch.zeros(1))
        module[0].forward = lambda x: _drift(module[0], nn.Sequential.forward(module[0], x))
        return module

    return variant(layers=layers)


def _fewer_the_next_time(self: Good, module: nn.Module) -> list[nn.Module]:
    parts = list(module.children())
    if hasattr(module, "taken_apart"):
        return parts[:2]
    module.taken_apart = True  # type: ignore[assignment]
    return parts


def _shared_layer(self: Good) -> nn.Module:
    common = stage(4, 4)
    return nn.Sequential(stage(3, 4), common, nn.Sequential(common, stage(4, 8)))


_KEPT: list[nn.Module] = []


def _same_again(self: Good, *, pretrained: bool = True) -> nn.Module:
    if not _KEPT:
        _KEPT.append(Good.build(self, pretrained=True))
    return _KEPT[0]


def _forgetful(self: Good, module: nn.Module) -> dict[str, Tensor]:
    state = Good.state(self, module)
    return {name: t for name, t in state.items() if not name.startswith("2.0")}


def _without_statistics(self: Good, module: nn.Module) -> dict[str, Tensor]:
    return {name: t for name, t in Good.state(self, module).items() if "running" not in name}


def _surplus(self: Good, module: nn.Module) -> dict[str, Tensor]:
    return {**Good.state(self, module), "2.3.weight": torch.ones(3)}


def _loosely(state: Callable[[Good, nn.Module], dict[str, Tensor]]) -> Good:
    def build(self: Good, *, pretrained: bool = True) -> nn.Module:
        module = self.layers()
        if pretrained:
            module.load_state_dict(state(self, module), strict=False)
        return module

    return variant(build=build)


def _copied_by_hand(self: Good, *, pretrained: bool = True) -> nn.Module:
    module = self.layers()
    if pretrained:
        with torch.no_grad():
            for name, tensor in self.state(module).items():
                if name != "1.0.weight":
                    module.state_dict()[name].copy_(tensor)
    return module


def _wider_when_random(self: Good, *, pretrained: bool = True) -> nn.Module:
    if pretrained:
        return Good.build(self)
    return nn.Sequential(stage(3, 4), stage(4, 6), stage(6, 10))


BROKEN: dict[str, tuple[str, Callable[[], Good], str]] = {
    # kind: (the check that must fail, a variant, a part of what it says)
    "mean of bytes": ("members_are_sane", lambda: variant(mean=(123, 117, 104)), "divide it by 255"),
    "weights is no mapping": ("members_are_sane", lambda: variant(weights=lambda self: 3), "returned int"),
    "build raises": ("builds", lambda: variant(build=lambda self, pretrained: 1 / 0), "ZeroDivisionError"),
    "a shortcut between stages": ("stages_compose", _shortcut, "no values kept from an earlier stage"),
    "other stages every time": ("stages_compose", lambda: variant(stages=_fewer_the_next_time), "then 2 stages"),
    "float64": (
        "tokens_have_shape_and_dtype",
        lambda: ending_in(lambda self, x: x.double()),
        "stage 3: (4, 16, 8) torch.float64",
    ),
    "a dead stage": ("every_cut_is_finite", lambda: ending_in(lambda self, x: x * 0), "the same for every picture"),
    "dropout in eval": (
        "deterministic_in_eval",
        lambda: ending_in(lambda self, x: nn.functional.dropout(x, 0.5)),
        "from stage 3 on",
    ),
    "looks across the batch": (
        "rows_are_independent",
        lambda: ending_in(lambda self, x: x - x.mean(0, keepdim=True)),
        "from stage 3 on",
    ),
    "a layer twice": ("stages_own_their_parameters", lambda: variant(layers=_shared_layer), "4 in two stages"),
    "a layer of its own": (
        "stages_own_their_parameters",
        lambda: ending_in(lambda self, x: x + self.extra, extra=nn.Parameter(torch.ones(1))),
        "1 outside the module",
    ),
    "one build for all": ("builds_share_nothing", lambda: variant(build=_same_again), "in both"),
    "another network when random": (
        "state_dict_round_trip",
        lambda: variant(build=_wider_when_random),
        "size mismatch",
    ),
    "detached": (
        "gradients_reach_every_parameter",
        lambda: ending_in(lambda self, x: x.detach() + 0 * next(self.inner.parameters()).sum()),
        "have one",
    ),
    "without gradients": (
        "gradients_reach_every_parameter",
        lambda: ending_in(lambda self, x: x.detach()),
        "no gradient at all",
    ),
    "channels last": (
        "tokens_have_shape_and_dtype",
        lambda: ending_in(lambda self, x: x.permute(0, 2, 3, 1)),
        "is (N, H, W, C)",
    ),
    "counts in eval": ("frozen_stages_stay_still", _counting, "stage 1 total"),
    "file without a layer": ("all_weights_are_loaded", lambda: _loosely(_forgetful), "missing 2.0.bias, 2.0.weight"),
    "file without statistics": ("all_weights_are_loaded", lambda: _loosely(_without_statistics), "running_mean"),
    "file of a larger network": ("all_weights_are_loaded", lambda: _loosely(_surplus), "unexpected 2.3.weight"),
    "a forgotten layer": ("all_weights_are_loaded", lambda: variant(build=_copied_by_hand), "missing 1.0.weight"),
    "never loads": (
        "pretrained_differs_from_random",
        lambda: variant(build=lambda self, pretrained: Good.build(self, pretrained=True)),
        "they differ by 0",
    ),
    "blind": ("neighbours_are_of_their_kind", lambda: variant(pretrained_on="imagenet-1k"), "kinship"),
    "a label twice": ("classifier_fits_its_labels", lambda: variant(labels=("a", "a")), "1 different ones"),
    "three labels of two": ("classifier_fits_its_labels", lambda: variant(labels=("a", "b", "c")), "3 labels"),
    "a tensor that stays behind": (
        "moves_to_another_device",
        lambda: ending_in(lambda self, x: x + self.constant, constant=torch.ones(1, 1, 4, 4)),
        "register_buffer",
    ),
    "always float32": (
        "moves_to_another_dtype",
        lambda: ending_in(lambda self, x: x.float()),
        "float64 gives float32",
    ),
}
