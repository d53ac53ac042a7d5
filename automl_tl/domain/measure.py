"""The distance of a data set from one backbone's pretraining domain, measured on a sample of its pictures."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_tl.backbones.stages import Network
from automl_tl.domain.depth import PROFILE_VERSION, DepthProfile, depth_profile
from automl_tl.domain.library import find_reference
from automl_tl.domain.looks_like import looks_like
from automl_tl.domain.similarity import Domain, judge
from automl_tl.errors import BackboneError
from automl_tl.features.extract import Features, Pass
from automl_tl.features.memo import remember
from automl_tl.features.picture import Picture
from automl_tl.spare_time import UNLIMITED, SpareTime

SAMPLE_SIZE = 150
"""Pictures of a stratified sample; 30 give the same verdict."""
BY_DEPTH = "the distance from the pretraining domain by depth"


def measure_domain(
    way: Pass,
    features: Features,
    pictures: Sequence[Picture],
    groups: np.ndarray,
    folder: Path,
    spare: SpareTime = UNLIMITED,
) -> Domain:
    """Return the verdict for one backbone.

    Args:
        way: as the features were made.
        features: of `pictures`, in their order.
        pictures: a stratified sample, some `SAMPLE_SIZE`.
        groups: int (n,), of `pictures`; those of one group are no independent ones.
        folder: where profiles are kept between runs.
        spare: time for the distance by depth, which takes a pass of its own; without it the embedding alone decides.
    """
    network = way.network
    unknown = DepthProfile((math.nan,) * network.n_stages, math.nan)
    profile = spare.attempt(BY_DEPTH, lambda: _profile(way, pictures, folder, spare), lambda: unknown)
    stages = tuple(features.matrix((cut,)) for cut in range(1, network.n_stages + 1))
    domain = judge(network.name, stages[-1], find_reference(network), profile, stages, groups)
    if profile is unknown and domain.measure == "none":
        domain = replace(domain, note="there was no time to measure it")
    return replace(domain, looks_like=_looks_like(network, stages[-1]))


def _looks_like(network: Network, embeddings: np.ndarray) -> tuple[tuple[str, float], ...]:
    """Return what the pictures look like, nothing where the plugin's classifier fails: no answer rests on it."""
    try:
        return looks_like(network, embeddings)
    except BackboneError as error:
        logging.getLogger(__name__).warning("%s", error)
        return ()


def _profile(way: Pass, pictures: Sequence[Picture], folder: Path, spare: SpareTime) -> DepthProfile:
    def compute() -> dict[str, object]:
        images = (pixels for _, pixels in spare.bounded(way.pixels.batches(pictures, way.how, way.at_once)))
        return vars(depth_profile(way.network, images))

    def read(kept: Any) -> DepthProfile:
        return DepthProfile(tuple(map(float, kept["by_depth"])), float(kept["distance"]))

    key = {**way.key, "pictures": sorted(p.sha256 for p in pictures), "version": PROFILE_VERSION}
    return remember(folder, key, compute, read)
