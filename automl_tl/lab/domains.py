"""The domain distance of every backbone that is considered, with a declared stand-in where one has no measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from automl_tl.domain.measure import SAMPLE_SIZE, measure_domain
from automl_tl.domain.similarity import Domain, proxy
from automl_tl.errors import BackboneError
from automl_tl.features.extract import Features, Picture, extract
from automl_tl.lab.networks import Bench, Overrides
from automl_tl.lab.sample import Sample

STAND_IN = "efficientnet_lite0"
"""The bundled backbone that is asked when no considered one can be: small, and with a reference of its own."""


def measure_domains(
    bench: Bench,
    features: Mapping[str, Features],
    sample: Sample,
    fit: str,
    seed: int,
    update: Callable[[int, int], None],
) -> dict[str, Domain]:
    """Return the domain verdict by backbone.

    Args:
        bench: builds them.
        features: by backbone, of the sample's pictures.
        sample: the pictures; a stratified part of them is measured.
        fit: how pictures become square.
        seed: of that part.
        update: called with (done, total) backbones.
    """
    rows = sample.subset(SAMPLE_SIZE, seed)[: 2 * SAMPLE_SIZE]
    pictures = [sample.pictures[row] for row in rows]
    domains = {}
    for done, (name, values) in enumerate(features.items(), 1):
        domains[name] = _measure(bench, name, values.take(rows), pictures, fit)
        update(done, len(features))
    return {name: _with_stand_in(bench, domain, domains, pictures, fit) for name, domain in domains.items()}


def _measure(bench: Bench, name: str, features: Features, pictures: Sequence[Picture], fit: str) -> Domain:
    how = bench.preprocessing(name, fit)
    return measure_domain(bench.network(name), features, pictures, how, bench.engine, bench.cache / "domain")


def _with_stand_in(
    bench: Bench, domain: Domain, domains: Mapping[str, Domain], pictures: Sequence[Picture], fit: str
) -> Domain:
    """Let a backbone of the same pretraining domain stand in for one that cannot be compared."""
    on = bench.backbone(domain.backbone).pretrained_on
    if domain.measure != "none" or on == "none":
        return domain
    peers = [d for name, d in domains.items() if d.measure == "embedding" and bench.backbone(name).pretrained_on == on]
    other = peers[0] if peers else _bundled(bench, on, pictures, fit)
    return domain if other is None else proxy(domain, other)


def _bundled(bench: Bench, on: str, pictures: Sequence[Picture], fit: str) -> Domain | None:
    plain = Bench(bench.engine, bench.cache, Overrides())  # the user's mean and size are not the stand-in's
    try:
        if plain.backbone(STAND_IN).pretrained_on != on:
            return None
        network, how = plain.network(STAND_IN), plain.preprocessing(STAND_IN, fit)
    except BackboneError:
        return None
    features = extract(network, pictures, how, plain.engine, plain.store)
    domain = _measure(plain, STAND_IN, features, pictures, fit)
    return domain if domain.measure == "embedding" else None
