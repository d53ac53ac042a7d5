from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone, tiny_network
from token_backbone import WIDTH, TokenBackbone

from automl_tl.backbones.plugins import Plugin
from automl_tl.backbones.stages import Network, build_network
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.data.value_range import ValueRange
from automl_tl.errors import BackboneError, DataError
from automl_tl.features import extract as module
from automl_tl.features.engine import Engine, choose_engine
from automl_tl.features.extract import Pass, extract
from automl_tl.features.picture import Picture
from automl_tl.features.store import FeatureStore
from automl_tl.lab.feature_sources import sources

HOW = Preprocessing(32)
ENGINE = Engine("cpu", "float32")


@pytest.fixture
def files(make_pictures: MakePictures) -> list[Picture]:
    paths = sorted(make_pictures().rglob("*.png"))
    return [Picture(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]


def test_statistics_are_those_of_the_stage_outputs(files: list[Picture], tmp_path: Path) -> None:
    network = tiny_network()
    features = extract(Pass(network, HOW, ENGINE, batch_size=4), files, FeatureStore(tmp_path))
    pixels = torch.from_numpy(np.stack([preprocess(Path(p.path), HOW) for p in files]))
    x = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        for cut, stage in enumerate(network.stages, 1):
            x = stage(x)
            mean, std = x.mean((2, 3)).numpy(), x.std((2, 3), correction=0).numpy()
            np.testing.assert_allclose(features.matrix([cut]), mean, atol=2e-3)
            np.testing.assert_allclose(features.matrix([cut], "mean+std"), np.hstack([mean, std]), atol=2e-3)
    assert features.matrix([1, 3]).shape == (len(files), 8 + 16)
    assert features.matrix([2], "grid").shape == (len(files), 4 * 12)


def test_a_second_run_does_no_forward_pass(files: list[Picture], tmp_path: Path) -> None:
    backbone = TinyBackbone()
    network = build_network("tiny", backbone)
    first = extract(Pass(network, HOW, ENGINE), files, FeatureStore(tmp_path))
    before = backbone.passes
    again = extract(Pass(network, HOW, ENGINE), files[::-1], FeatureStore(tmp_path))
    assert backbone.passes == before
    np.testing.assert_array_equal(first.matrix([3])[::-1], again.matrix([3]))


@pytest.mark.parametrize("change", ["view", "size", "fit", "values", "engine", "weights", "stages"])
def test_whatever_changes_a_feature_changes_the_table(change: str, files: list[Picture], tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    extract(Pass(tiny_network(), HOW, ENGINE), files, store)
    backbone = TinyBackbone(seed=1 if change == "weights" else 0)
    how = Preprocessing(40 if change == "size" else 32, "pad" if change == "fit" else "squash")
    if change == "values":
        how = replace(how, value_range=ValueRange(0, 4095))
    engine = Engine("cpu", "bfloat16") if change == "engine" else ENGINE
    network = build_network("tiny", backbone)
    if change == "stages":  # as where a plugin's author reads a stage elsewhere, of the same weights
        network = replace(network, channels=(8, 12, 17))
    before = backbone.passes
    extract(Pass(network, how, engine, view="hflip" if change == "view" else "plain"), files, store)
    assert backbone.passes > before


def test_a_new_version_of_the_plugin_has_features_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Pass(tiny_network(), HOW, ENGINE)
    keys = []
    for version in ("1.0", "1.1"):
        plugin = Plugin("tiny", "tiny-plugin", version)
        monkeypatch.setattr(module, "installed_plugin", lambda name, found=plugin: found)
        monkeypatch.setattr(module, "origin", lambda name, version=version: f"{name}-plugin {version}")
        keys.append(way.key)
    assert keys[0] != keys[1]


def test_a_plugin_that_was_edited_in_place_has_features_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, keys = Pass(tiny_network(), HOW, ENGINE), []
    monkeypatch.setattr(module, "installed_plugin", lambda _: Plugin("tiny", "tiny-plugin", "1.0", target="edited:one"))
    package: Any = SimpleNamespace(__file__=str(tmp_path / "__init__.py"))
    monkeypatch.setitem(sys.modules, "edited", package)
    (tmp_path / "__init__.py").write_text("one = 1")
    for text in ("a = 1", "a = 2", "a = 1"):
        (tmp_path / "network.py").write_text(text)
        module._source.cache_clear()  # as in a process of its own
        keys.append(way.key)
    assert keys[0] == keys[2] != keys[1]


def test_identical_pictures_cost_one_pass(files: list[Picture], tmp_path: Path) -> None:
    features = extract(Pass(tiny_network(), HOW, ENGINE), [files[0], files[1], files[0]], FeatureStore(tmp_path))
    matrix = features.matrix([3])
    np.testing.assert_array_equal(matrix[0], matrix[2])
    assert np.abs(matrix[0] - matrix[1]).max() > 0


def test_taking_rows_keeps_their_order(files: list[Picture], tmp_path: Path) -> None:
    features = extract(Pass(tiny_network(), HOW, ENGINE), files, FeatureStore(tmp_path))
    rows = np.array([7, 0, 11])
    np.testing.assert_array_equal(features.take(rows).matrix([2]), features.matrix([2])[rows])


@pytest.mark.parametrize("taken", [False, True])
def test_features_that_are_needed_outlive_the_trim_of_the_cache(
    taken: bool, files: list[Picture], tmp_path: Path
) -> None:
    features = extract(Pass(tiny_network(), HOW, ENGINE), files, FeatureStore(tmp_path))
    if taken:
        features = features.take(np.arange(4))
    for shard in tmp_path.rglob("*.safetensors"):
        os.utime(shard, (0, 0))
    FeatureStore(tmp_path, max_bytes=1).trim()
    assert features.matrix([3]).shape == (features.n, 16)
    del features
    FeatureStore(tmp_path, max_bytes=1).trim()
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_an_interruption_keeps_what_was_computed(
    files: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(*args: object, **kwargs: object) -> dict[str, np.ndarray]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"1/mean": np.zeros((4, 2), np.float32)}

    monkeypatch.setattr(module, "statistics", interrupted)
    network, store = tiny_network(), FeatureStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        extract(Pass(network, HOW, ENGINE, batch_size=4), files, store)
    table = store.table(Pass(network, HOW, ENGINE).key)
    assert [p.sha256 in table for p in files[:9]] == [True] * 8 + [False]


def test_a_picture_that_vanishes_is_named(files: list[Picture], tmp_path: Path) -> None:
    Path(files[2].path).unlink()
    with pytest.raises(DataError, match=r"002\.png changed while it was being read"):
        extract(Pass(tiny_network(), HOW, ENGINE), files, FeatureStore(tmp_path))


def test_large_values_are_kept_in_full() -> None:
    assert module._compact(np.array([1e5], np.float32)).dtype == np.float32
    assert module._compact(np.array([1e2], np.float32)).dtype == np.float16
    assert module._compact(np.array([1e2, 1e-8], np.float32)).dtype == np.float16
    assert module._compact(np.array([1e-7, 2e-7], np.float32)).dtype == np.float32  # float16 would round it to nothing


def test_the_engine_for_this_machine_is_one_that_computes() -> None:
    engine = choose_engine("cpu")
    assert engine.dtype in ("float32", "bfloat16")
    with engine.autocast():
        assert torch.isfinite(torch.nn.functional.linear(torch.ones(1, 3), torch.ones(2, 3))).all()


# A backbone that fails after its preflight ------------------------------------------------------------------------


def hooked(hook: Callable[[torch.Tensor, int], object], stage: int = 1) -> Network:
    """Return a network one of whose stages does `hook` to its output, given the number of its pass, once built."""
    network = build_network("toy", TinyBackbone())
    passes = []

    def change(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> object:
        passes.append(1)
        return hook(output, len(passes))

    network.stages[stage].register_forward_hook(change)
    return network


def raising(output: torch.Tensor, number: int) -> torch.Tensor:
    if number == 3:
        raise ValueError("the third\nbatch")
    return output


def not_a_number(output: torch.Tensor, number: int) -> torch.Tensor:
    output = output.clone()
    output[:2] = float("nan")
    return output


FAILURES: dict[str, tuple[Callable[[torch.Tensor, int], object], str]] = {
    "raises": (raising, "toy could not run stage 2 of 3: it raised ValueError: the third batch"),
    "NaN": (
        not_a_number,
        "toy: stage 2 of 3 must give finite values, but gave NaN or infinite ones for 2 of 4 pictures",
    ),
    "loses pictures": (
        lambda output, number: output[:3],
        "toy: stage 2 of 3 must give one row for each of 4 pictures, but gave 3",
    ),
    "no tensor": (
        lambda output, number: (output,),
        "toy could not be run on 4 pictures: it raised AttributeError: 'tuple' object has no attribute 'device'",
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_what_fails_on_a_batch_names_the_backbone(kind: str, files: list[Picture], tmp_path: Path) -> None:
    hook, sentence = FAILURES[kind]
    with pytest.raises(BackboneError) as caught:
        extract(Pass(hooked(hook), HOW, ENGINE, batch_size=4), files, FeatureStore(tmp_path))
    assert str(caught.value) == sentence


def test_what_float16_is_too_small_for_is_computed_in_float32(files: list[Picture], tmp_path: Path) -> None:
    network = hooked(lambda output, number: output * 1e6)
    matrices = [
        extract(Pass(network, HOW, Engine("cpu", dtype), batch_size=4), files, FeatureStore(tmp_path)).matrix([2, 3])
        for dtype in ("float32", "float16")
    ]
    assert np.abs(matrices[0]).max() > np.finfo(np.float16).max
    np.testing.assert_allclose(matrices[1], matrices[0], rtol=1e-5)


def test_what_was_computed_before_a_failure_is_kept(files: list[Picture], tmp_path: Path) -> None:
    network, store = hooked(raising), FeatureStore(tmp_path)
    with pytest.raises(BackboneError):
        extract(Pass(network, HOW, ENGINE, batch_size=4), files, store)
    table = store.table(Pass(network, HOW, ENGINE).key)
    assert [p.sha256 in table for p in files[:9]] == [True] * 8 + [False]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_what_is_not_its_fault_is_not_blamed_on_it(
    error: type[BaseException], files: list[Picture], tmp_path: Path
) -> None:
    def interrupted(output: torch.Tensor, number: int) -> torch.Tensor:
        raise error

    with pytest.raises(error):
        extract(Pass(hooked(interrupted), HOW, ENGINE, batch_size=4), files, FeatureStore(tmp_path))


def test_a_class_token_is_offered_with_the_mean_of_the_patches(files: list[Picture], tmp_path: Path) -> None:
    network = build_network("tokens", TokenBackbone())
    features = extract(Pass(network, HOW, ENGINE), files, FeatureStore(tmp_path))
    assert features.has_patches
    assert all(features.has_grid(cut) for cut in (1, 2, 3))
    offered = {source.cuts for source in sources(features) if source.pooling == "mean+patches"}
    assert offered == {(3,)}
    both, alone = (features.matrix((3,), pooling) for pooling in ("mean+patches", "mean"))
    assert both.shape == (len(files), 2 * WIDTH)
    np.testing.assert_array_equal(both[:, :WIDTH], alone)
    np.testing.assert_allclose(
        both[:, WIDTH:], features.matrix((3,), "grid").reshape(-1, WIDTH, 4).mean(2), rtol=1e-2, atol=1e-3
    )


def test_a_map_has_no_class_token(files: list[Picture], tmp_path: Path) -> None:
    features = extract(Pass(tiny_network(), HOW, ENGINE), files, FeatureStore(tmp_path))
    assert not features.has_patches
    assert "mean+patches" not in {source.pooling for source in sources(features)}
