from __future__ import annotations

import math

import torch
from tiny_backbone import tiny_network

from automl_tl.domain.depth import _frechet, _Moments, depth_profile


def batches(seed: int, brightness: int = 0, n: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(0, 200, (8, 32, 32, 3), dtype=torch.uint8, generator=generator) + brightness for _ in range(n)
    ]


def settle(network: object) -> None:
    """Let the BatchNorm layers learn what `batches` looks like."""
    for module in network.module.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network.module.train()
    with torch.no_grad():
        for images in batches(0, n=6):
            network.module((images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
    network.module.eval()


def test_pictures_of_the_pretraining_domain_are_near_and_brighter_ones_farther() -> None:
    network = tiny_network()
    settle(network)
    same, brighter = (depth_profile(network, batches(9, brightness)) for brightness in (0, 55))
    assert len(same.by_depth) == 3
    assert same.distance < 0.05
    assert brighter.distance > 5 * same.distance


def test_the_formula_by_hand() -> None:
    layer = torch.nn.BatchNorm2d(1)
    layer.running_mean[:] = 1.0
    layer.running_var[:] = 4.0
    seen = _Moments(layer.running_mean)
    seen.add(torch.tensor([2.0, 4.0]).view(2, 1, 1, 1))  # mean 3, variance 1
    assert math.isclose(_frechet(layer, seen), ((3 - 1) ** 2 + 1 + 4 - 2 * 2) / 4, rel_tol=1e-6)


def test_far_from_zero_the_variance_keeps_its_digits() -> None:
    layer = torch.nn.BatchNorm2d(1)
    layer.running_mean[:] = 3000.0
    seen = _Moments(layer.running_mean)
    seen.add(3000 + torch.randn((64, 1, 32, 32), generator=torch.Generator().manual_seed(0)))
    assert _frechet(layer, seen) < 0.001


def test_a_far_channel_is_clipped() -> None:
    layer = torch.nn.BatchNorm2d(1)
    seen = _Moments(layer.running_mean)
    seen.add(torch.full((2, 1, 1, 1), 1e4))
    assert _frechet(layer, seen) == 25.0


def test_batches_do_not_change_the_result_and_the_network_stays_as_it_was() -> None:
    network = tiny_network()
    before = {k: v.clone() for k, v in network.module.state_dict().items()}
    whole = depth_profile(network, [torch.cat(batches(3))])
    parts = depth_profile(network, batches(3))
    assert math.isclose(whole.distance, parts.distance, rel_tol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in network.module.state_dict().items())
    assert not any(
        m._forward_pre_hooks for stage in network.stages for m in stage.modules() if hasattr(m, "running_var")
    )


def test_a_network_without_batchnorm_has_no_profile() -> None:
    profile = depth_profile(tiny_network(batchnorm=False), batches(0))
    assert math.isnan(profile.distance)
    assert all(map(math.isnan, profile.by_depth))


def test_where_memory_does_not_suffice_the_halves_are_measured() -> None:
    """A try that failed half way leaves nothing behind."""
    network = tiny_network()
    settle(network)
    expected = depth_profile(network, batches(9))

    def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    network.stages[-1].register_forward_pre_hook(hook)
    found = depth_profile(network, batches(9))
    assert math.isclose(found.distance, expected.distance, rel_tol=1e-4)
