"""The distance of a data set from one backbone's pretraining domain, measured on a sample of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from automl_tl.backbones.stages import Network
from automl_tl.data.decode import Preprocessing
from automl_tl.domain.depth import DepthProfile, depth_profile
from automl_tl.domain.library import find_reference
from automl_tl.domain.looks_like import looks_like
from automl_tl.domain.similarity import Domain, judge
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Features, Picture, batches, feature_key
from automl_tl.features.memo import remember

SAMPLE_SIZE = 150
"""Pictures of a stratified sample; 30 give the same verdict."""


def measure_domain(
    network: Network,
    features: Features,
    pictures: Sequence[Picture],
    how: Preprocessing,
    engine: Engine,
    folder: Path,
) -> Domain:
    """Return the verdict for one backbone.

    Args:
        network: the built backbone.
        features: of `pictures`, in their order.
        pictures: a stratified sample, some `SAMPLE_SIZE`.
        how: as the features were made.
        engine: where to compute.
        folder: where profiles are kept between runs.
    """
    profile = _profile(network, pictures, how, engine, folder)
    stages = tuple(features.matrix((cut,)) for cut in range(1, network.n_stages + 1))
    domain = judge(network.name, stages[-1], find_reference(network), profile, stages)
    return replace(domain, looks_like=looks_like(network, stages[-1]))


def _profile(
    network: Network, pictures: Sequence[Picture], how: Preprocessing, engine: Engine, folder: Path
) -> DepthProfile:
    def compute() -> dict[str, object]:
        images = (pixels for _, pixels in batches(pictures, how, 32, engine.threads))
        return vars(depth_profile(network, images))

    key = {**feature_key(network, how, "plain", engine), "pictures": sorted(p.sha256 for p in pictures)}
    kept = remember(folder, key, compute)
    return DepthProfile(tuple(kept["by_depth"]), kept["distance"])
