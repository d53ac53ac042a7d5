"""How many pictures go through a network at once, where the user does not say."""

from __future__ import annotations

from automl_tl.backbones.network import Network
from automl_tl.devices import free_memory

ON_CPU = 32
"""More at once are no faster on a CPU."""
LEAST, MOST = 8, 256
"""Of a GPU, which small batches leave idle; powers of two."""
_WITHIN = 8
"""A stage widens its maps inside: inverted bottlenecks six times, of which two are held at once, attention four."""
_SHARE = 4
"""The part of a GPU's free memory that a batch may take; where that is too much the batch is halved."""


def pictures_at_once(network: Network) -> int:
    """Return how many pictures suit the device that a network is on, by its kind and the memory that is free there."""
    device = network.device
    if device.type != "cuda":
        return ON_CPU
    return _power_of_two(free_memory(device) / _SHARE / _bytes_of_picture(network))


def _bytes_of_picture(network: Network) -> int:
    """Return what the widest stage holds of one picture, float32."""
    pixels = 3 * network.backbone.input_size**2
    return 4 * _WITHIN * max(pixels, *network.sizes)


def _power_of_two(most: float) -> int:
    """Return the largest power of two up to `most`, from LEAST to MOST.

    >>> [_power_of_two(most) for most in (0.5, 8, 100, 5000)]
    [8, 8, 64, 256]
    """
    return 1 << (int(min(max(most, LEAST), MOST)).bit_length() - 1)
