"""The domain distance of every backbone that is considered, with a declared stand-in where one has no measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from automl_tl.domain.extremes import Extremes, extremes
from automl_tl.domain.library import find_reference
from automl_tl.domain.measure import SAMPLE_SIZE, measure_domain
from automl_tl.domain.similarity import Domain, proxy
from automl_tl.domain.stand_ins import stand_ins
from automl_tl.errors import BackboneError
from automl_tl.features.extract import Features, extract
from automl_tl.lab.lab import Lab
from automl_tl.lab.networks import Networks
from automl_tl.lab.sample import Sample
from automl_tl.monitor import Progress, unheeded
from automl_tl.spare_time import UNLIMITED, LateError, SpareTime

STAND_IN = "efficientnet_lite0"
"""The bundled backbone that is asked when no considered one can be: small, and with a reference of its own."""


def measure_domains(
    lab: Lab, features: Mapping[str, Features], sample: Sample, update: Progress, spare: SpareTime = UNLIMITED
) -> dict[str, Domain]:
    """Return the domain verdict by backbone.

    Args:
        lab: builds them.
        features: by backbone, of the sample's pictures.
        sample: the pictures; a stratified part of them is measured.
        update: called with (done, total) backbones.
        spare: time for what takes a pass of its own: the distance by depth, and a stand-in's features.
    """
    rows, fit = sample.subset(SAMPLE_SIZE, lab.seed)[: 2 * SAMPLE_SIZE], lab.report.fit
    some = sample.take(rows)
    domains = {}
    for done, (name, values) in enumerate(features.items(), 1):
        domains[name] = _measure(lab.networks, name, values.take(rows), some, fit, spare)
        update(done, len(features))
    bundled = cache(lambda on: _bundled(lab.networks, on, some, fit, spare))
    return {name: _with_stand_in(lab.networks, domain, domains, bundled) for name, domain in domains.items()}


def picture_extremes(lab: Lab, features: Features, sample: Sample) -> Extremes | None:
    """Return which pictures a backbone finds most and least like its pretraining domain; None without a reference.

    Args:
        lab: builds it.
        features: of the sample's pictures by that backbone.
        sample: the pictures.
    """
    network = lab.networks.network(features.backbone)
    reference = find_reference(network)
    if reference is None:
        return None
    return extremes(reference, features.matrix((network.n_stages,)), [picture.path for picture in sample.pictures])


def _measure(networks: Networks, name: str, features: Features, sample: Sample, fit: str, spare: SpareTime) -> Domain:
    folder = networks.cache / "domain"
    return measure_domain(networks.way(name, fit), features, sample.pictures, sample.groups, folder, spare)


def _with_stand_in(
    networks: Networks,
    domain: Domain,
    domains: Mapping[str, Domain],
    bundled: Callable[[str], Domain | None],
) -> Domain:
    """Let a backbone of the same pretraining domain, or of one within it, stand in for one that cannot be compared."""
    if domain.measure != "none":
        return domain
    own = networks.backbone(domain.backbone).pretrained_on
    measured = {name: d for name, d in domains.items() if d.measure == "embedding"}
    for on in stand_ins(own):
        peers = [d for name, d in measured.items() if networks.backbone(name).pretrained_on == on]
        other = peers[0] if peers else bundled(on)
        if other is not None:
            return proxy(domain, other, wider="" if on == own else own)
    return domain


def _bundled(networks: Networks, on: str, sample: Sample, fit: str, spare: SpareTime) -> Domain | None:
    # The user's mean and size are not the stand-in's.
    plain = Networks(networks.engine, networks.cache, value_range=networks.value_range)
    plain.pixels = networks.pixels
    try:
        spare.check()
        if plain.backbone(STAND_IN).pretrained_on != on:
            return None
        way = plain.way(STAND_IN, fit)
        features = extract(way, sample.pictures, plain.store, progress=spare.counting(unheeded))
    except (BackboneError, LateError):
        return None
    domain = _measure(plain, STAND_IN, features, sample, fit, spare)
    return domain if domain.measure == "embedding" else None
