"""A trained model as one `nn.Module`: what is exported, and what other PyTorch programs call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automl_tl.backbones.stages import Network, standardise
from automl_tl.data.decode import Preprocessing
from automl_tl.model.forward import normalisation, run
from automl_tl.model.member import Member
from automl_tl.model.resampling import resample


class PictureClassifier(nn.Module):
    """Probabilities of decoded RGB pictures: resizing, normalisation, members, shares and temperature.

    Not inside are what comes before, decoding and turning upright, and the comparison with the training pictures.
    It shares its parameters with the model that it is made of, is in eval mode, and gradients pass.

    Args:
        members: of a model.
        temperature: of that model.
    """

    def __init__(self, members: Sequence[Member], temperature: float) -> None:
        super().__init__()
        self.members, self.temperature = tuple(members), temperature
        stages = [stage for member in members for stage in member.network.stages[: max(member.cuts)]]
        self.stages = nn.ModuleList(dict.fromkeys(stages))
        self.heads = nn.ModuleList(member.head for member in members)
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Return probabilities (N, C), float32.

        Args:
            pictures: (N, H, W, 3), RGB, upright, all of one size, on the model's device: uint8, or float32 from 0 to 1.
        """

        def inputs(network: Network, how: Preprocessing) -> Tensor:
            return standardise(resample(pictures, how), *normalisation(network))

        results = zip(self.members, run(self.members, inputs), strict=True)
        shares = [member.weight * (scores / self.temperature).softmax(dim=1) for member, (scores, _) in results]
        return torch.stack(shares).sum(dim=0)
