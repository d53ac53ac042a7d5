from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone, tiny_network
from torch import nn

from automl_tl.backbones.overrides import configure
from automl_tl.backbones.stages import build_network
from automl_tl.domain import kernel, library
from automl_tl.domain.library import find_reference
from automl_tl.domain.reference import (
    DEGRADATIONS,
    DomainReference,
    _distance_of_versions,
    build_reference,
    load_reference,
    reference_preprocessing,
    save_reference,
)
from automl_tl.errors import DomainReferenceError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Pass, extract
from automl_tl.features.picture import Picture
from automl_tl.features.store import FeatureStore

ENGINE = Engine("cpu", "float32")


def listed(folder: Path) -> list[Picture]:
    return [Picture(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in sorted(folder.rglob("*.png"))]


@pytest.fixture
def source(make_pictures: MakePictures) -> list[Picture]:
    return listed(make_pictures(per_class=24))


@pytest.fixture
def reference(source: list[Picture]) -> DomainReference:
    return build_reference(tiny_network(), source, ENGINE, name="tiny pictures")


def test_it_calibrates_itself(reference: DomainReference) -> None:
    assert abs(reference.null) < 0.05
    assert set(reference.degraded) == set(DEGRADATIONS)
    assert reference.scale > abs(reference.null)
    assert reference.n_stages == 3


def test_source_pictures_are_at_no_distance_and_edges_far(
    reference: DomainReference, make_pictures: MakePictures, tmp_path: Path
) -> None:
    network = tiny_network()
    fresh = listed(make_pictures(tmp_path / "fresh", per_class=10, seed=7))
    features = extract(Pass(network, reference_preprocessing(network), ENGINE), fresh, FeatureStore(tmp_path))
    assert abs(reference.distance(features.matrix([3]))) < 0.25 * reference.scale
    assert reference.degraded["edges"] > reference.degraded["blurred"]


def test_it_survives_the_disk(reference: DomainReference, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.safetensors"
    save_reference(reference, path)
    again = load_reference(path)
    np.testing.assert_array_equal(again.maps, reference.maps)
    assert replace(again, maps=reference.maps) == reference
    assert path.stat().st_size < 200_000


def test_few_pictures_are_refused(source: list[Picture]) -> None:
    with pytest.raises(DomainReferenceError, match="at least 50 pictures of the source domain, got 20"):
        build_reference(tiny_network(), source[:20], ENGINE, name="few")


def test_pictures_that_are_all_the_same_are_refused(source: list[Picture]) -> None:
    with pytest.raises(DomainReferenceError, match="look all the same to stage 1 of tiny: give more varied pictures"):
        build_reference(tiny_network(), source[:1] * 60, ENGINE, name="one")


@pytest.mark.parametrize("degraded", [{}, {"grey": 0.0}, {"grey": -0.001}])
def test_a_reference_to_which_nothing_is_far_is_not_read(
    reference: DomainReference, degraded: dict[str, float], tmp_path: Path
) -> None:
    save_reference(replace(reference, degraded=degraded), tmp_path / "r.safetensors")
    with pytest.raises(DomainReferenceError, match="nothing is far"):
        load_reference(tmp_path / "r.safetensors")


def test_own_versions_of_few_pictures_are_as_far_as_those_of_others() -> None:
    """With their own pictures in the mean, fifty would lie nearer than they are by a whole scale."""
    rng, width, far = np.random.default_rng(0), 0.6, []
    for _ in range(40):
        rows = kernel.unit(rng.normal(size=(50, 16)))
        plain = DomainReference(
            "", "tiny", "w", 32, (0.5,) * 3, (0.5,) * 3, 50, (width,),
            (kernel.self_similarity(kernel.gaussian(rows, rows, width)),), 0.0, {}, kernel.mean_map(rows, width)[None],
        )  # fmt: skip
        far.append(_distance_of_versions(plain, rows, rows))
    assert abs(np.mean(far)) < 0.003


def test_it_fits_a_plugin_whose_mean_is_a_list(reference: DomainReference) -> None:
    backbone = TinyBackbone()
    backbone.mean, backbone.std = list(backbone.mean), list(backbone.std)  # type: ignore[assignment]
    assert reference.fits(build_network("tiny", backbone))


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x10\0\0\0\0\0\0\0{}"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(DomainReferenceError, match=r"broken\.safetensors' is no reference that can be read"):
        load_reference(path)


def test_a_reference_of_other_weights_is_not_used(
    reference: DomainReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "user_references", lambda: tmp_path)
    save_reference(reference, tmp_path / library.reference_file("tiny"))
    assert find_reference(tiny_network()) is not None
    assert find_reference(tiny_network(seed=5)) is None


class FromFile(TinyBackbone):
    """A backbone that reads a local file; its reference was made with one of them."""

    reference: Path

    def build(self, *, pretrained: bool = True, weights: Path | None = None) -> nn.Module:  # type: ignore[override]
        net = super().build(pretrained=False)
        if weights is not None:
            net.load_state_dict(torch.load(weights, weights_only=True))
        return net


def test_a_plugins_reference_counts_for_the_local_file_that_it_was_made_with(
    source: list[Picture], tmp_path: Path
) -> None:
    files = [tmp_path / f"{seed}.pt" for seed in (1, 2)]
    for seed, file in enumerate(files, 1):
        torch.save(TinyBackbone(seed=seed).build().state_dict(), file)
    plugin = FromFile()
    first, second = (configure("tiny_file", plugin, weights=file) for file in files)
    made = build_reference(build_network("tiny_file", first), source, ENGINE, name="tiny pictures")
    plugin.reference = tmp_path / "kept.safetensors"
    save_reference(made, plugin.reference)
    moved = files[0].rename(tmp_path / "moved.pt")
    found = find_reference(build_network("tiny_file", configure("tiny_file", plugin, weights=moved)))
    assert found is not None
    assert found.weights == made.weights
    assert found.weights.startswith("sha256:")
    assert find_reference(build_network("tiny_file", second)) is None
    other_input = configure("tiny_file", plugin, weights=moved, mean=(0.4, 0.5, 0.5))
    assert find_reference(build_network("tiny_file", other_input)) is None


@pytest.mark.parametrize("own", [5, "missing", b"\0"])
def test_what_a_plugin_names_in_place_of_a_reference_costs_no_answer(
    own: object, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = TinyBackbone()
    backbone.reference = own  # type: ignore[attr-defined]
    assert find_reference(build_network("tiny", backbone)) is None


def test_a_reference_that_cannot_be_read_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = TinyBackbone()
    backbone.reference = tmp_path / "old.safetensors"  # type: ignore[attr-defined]
    backbone.reference.write_bytes(b"rubbish")  # type: ignore[attr-defined]
    with caplog.at_level("WARNING", logger="automl_tl"):
        assert find_reference(build_network("tiny", backbone)) is None
    (record,) = caplog.records
    assert "the domain reference of tiny is left out" in record.getMessage()
    assert "old.safetensors" in record.getMessage()
