"""The panel: what `recommend` knows of real data sets, and what each of the four strategies reaches on them.

    python benchmarks/panel.py rows ../shared/data --work FOLDER     # hours; several at once share the rows
    python benchmarks/panel.py again ../shared/data --work FOLDER    # what is known before training, anew
    python benchmarks/panel.py collect --work FOLDER                 # writes datasets_meta/panel.csv

A row is a data set at so many training pictures a class, drawn anew for every draw, with one backbone. The pictures
are drawn, `assess` looks at the training part, each strategy is trained on it to completion as `automl-tl train
--strategy` would, and all four are tested once on pictures that nothing saw. A row is a file of its own in FOLDER as
soon as it is known, so an interrupted run goes on where it stopped. datasets_meta/README.md says what the columns are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from panel_sets import Listing, listing
from PIL import Image, ImageFilter, ImageOps

from automl_tl.features.extract import pictures_of
from automl_tl.lab.assessment import Assessment, assess
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.lab.sample import Sample, draw_sample
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import paired_gain
from automl_tl.learning.trainer import TRAINER_VERSION, Start
from automl_tl.model.model import Model
from automl_tl.options import ConfigurationOptions, SearchOptions
from automl_tl.searcher.asked import configuration_asked_for
from automl_tl.searcher.delivery.members import kept_member
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.frozen import solve_frozen
from automl_tl.searcher.trials.trained import learn
from automl_tl.strategies import STRATEGIES

DEFAULT_OUT = Path(__file__).parents[1] / "datasets_meta" / "panel.csv"
SEED = 20261126
MOST_TEST = 300
HALVES = 200
LITE0, MOBILENET = "efficientnet_lite0", "mobilenetv2_100"
SETS = (
    "clothing", "blood_wbc", "weather", "emoji_icons", "magnetic_tiles", "trashnet", "metal_sheet_defects",
    "sign_digits", "faces_orl", "omniglot_alphabets",
)  # fmt: skip
FEW_TESTED = ("blood_wbc", "weather", "emoji_icons", "magnetic_tiles", "metal_sheet_defects", "faces_orl")


@dataclass(frozen=True)
class Row:
    """What is measured: a data set, changed or not, at so many pictures of so many classes."""

    data: str
    per_class: int
    """0: all of them."""
    draw: int = 0
    n_classes: int = 0
    """0: all of them; else drawn."""
    change: str = "none"
    backbone: str = LITE0

    @property
    def name(self) -> str:
        parts = (self.data, self.per_class or "all", f"c{self.n_classes}", self.change, self.backbone, self.draw)
        return "-".join(map(str, parts))


def planned() -> Iterator[Row]:
    """Yield every row, fixed before anything was fitted; those that tell most come first."""
    subsets = ("clothing", "emoji_icons", "sign_digits", "metal_sheet_defects", "omniglot_alphabets", "trashnet")
    made = ("digits", "glyphs")
    yield from (Row(data, n) for n in (10, 5) for data in SETS)
    yield from (Row(data, 25, n_classes=2) for data in subsets)
    yield from (Row(data, 25) for data in SETS[:8])
    yield from (Row(data, 5) for data in made)
    yield from (Row(data, 10, change=change) for change in CHANGES for data in ("clothing", "weather"))
    yield from (Row(data, 3) for data in SETS)
    yield from (Row(data, 10, n_classes=2) for data in subsets)
    yield from (Row(data, 10, backbone=MOBILENET) for data in SETS)
    yield from (Row(data, n, 1) for n in (10, 5) for data in FEW_TESTED)
    yield from (Row(data, 25) for data in (*SETS[8:], *made))
    yield from (Row(data, 10) for data in made)
    yield from (Row(data, 10, 1, n_classes=2) for data in subsets)
    yield from (Row(data, 10, n_classes=5) for data in subsets)
    yield from (Row(data, 5, backbone=MOBILENET) for data in SETS)
    yield from (Row(data, n, 1) for n in (25, 3) for data in FEW_TESTED)
    yield from (Row(data, 50) for data in SETS)
    yield from (Row(data, 0) for data in FEW_TESTED)
    yield from (Row(data, 50, 1) for data in FEW_TESTED)


def _low_resolution(picture: Image.Image) -> Image.Image:
    return picture.resize((32, 32), Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grey": ImageOps.grayscale,
    "low_resolution": _low_resolution,
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 50)),
    "inverted": ImageOps.invert,
    "edges": lambda picture: ImageOps.grayscale(picture).filter(ImageFilter.FIND_EDGES),
}


def draw(listed: Listing, row: Row, rng: np.random.Generator) -> pd.DataFrame:
    """Return training and test pictures: a given test part is kept, else a fifth of every class is drawn."""
    frame = listed.frame
    if row.n_classes:
        labels = np.sort(frame["label"].unique())
        frame = frame[frame["label"].isin(rng.choice(labels, row.n_classes, replace=False))]
    frame = frame.sample(frac=1, random_state=rng.integers(2**31)).sort_values("label", kind="stable")
    rank = frame.groupby("label").cumcount()
    if (frame["split"] == "").all():
        size = frame.groupby("label")["path"].transform("size")
        frame["split"] = np.where(rank < np.ceil(listed.test_share * size), "test", "train")
    train = frame[frame["split"] == "train"]
    if row.per_class:
        train = train.groupby("label", group_keys=False).head(row.per_class)
    test = frame[frame["split"] != "train"].assign(split="test")
    return pd.concat([train, test.sample(min(len(test), MOST_TEST), random_state=rng.integers(2**31))])


def changed(frame: pd.DataFrame, change: str, folder: Path) -> pd.DataFrame:
    """Return the table with every picture changed, as files in `folder`."""
    if change == "none":
        return frame
    paths = []
    for number, path in enumerate(frame["path"]):
        with Image.open(path) as picture:
            CHANGES[change](picture.convert("RGB")).save(folder / f"{number}.png")
        paths.append(str(folder / f"{number}.png"))
    return frame.assign(path=paths)


def opened(root: Path, row: Row, folder: Path, weights: Path | None) -> tuple[Listing, Lab, SearchOptions]:
    """Draw the pictures of a row, and open a laboratory on them."""
    listed = listing(root, row.data)
    rng = np.random.default_rng([SEED, row.draw, zlib.crc32(f"{row.data} {row.per_class} {row.n_classes}".encode())])
    table = folder / "table.csv"
    changed(draw(listed, row, rng), row.change, folder).to_csv(table, index=False)
    own = {} if weights is None or row.backbone == LITE0 else {row.backbone: weights}
    options = SearchOptions(
        seed=row.draw, group_column="group", backbones=(row.backbone,), weights=own, trials=1, out=folder / "run"
    )
    return listed, open_lab(table, options), options


def measure(root: Path, row: Row, folder: Path, weights: Path | None) -> dict[str, Any]:
    """Return everything that is known of a row."""
    listed, lab, options = opened(root, row, folder, weights)
    found = assessed(lab)
    run = RunFolder(folder / "run")
    with run.claimed():
        session = Session(lab, options, run, Deadline(None), Limits())
        prepared = prepare(session, lambda task, backbone: None)
        right, trained = {}, {}
        for strategy in STRATEGIES:
            if any(one.strategy == strategy for one in found.expectations.front):
                trained[strategy] = configuration_asked_for(prepared, ConfigurationOptions(strategy=strategy))
                right[strategy] = tested(lab, prepared, trained[strategy])
    return {**identity(row, listed, lab), **known(found), **reached(right), **cost(found, trained)}


def known_again(root: Path, row: Row, folder: Path, weights: Path | None, kept: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what is known before training as the code of today finds it; what was trained stays."""
    _, lab, _ = opened(root, row, folder, weights)
    came_true = ("set", "kind", "change", "per_class", "draw", "backbone", "trainer", "n_test", "oracle")
    measured = {k: v for k, v in kept.items() if k in came_true or k.startswith(("true_", "pictures_", "stages_"))}
    return {**measured, **known(assessed(lab))}


def assessed(lab: Lab) -> Assessment:
    """Return what `recommend` knows before anything is trained."""
    sample = draw_sample(lab.dataset, len(lab.dataset.frame), lab.seed)
    features, _ = extract_all(lab, lab.backbones, sample.pictures)
    return assess(lab, sample, features, None)


def tested(lab: Lab, prepared: Prepared, configuration: Configuration) -> np.ndarray:
    """Train on every training picture as `train` does, and return which test pictures are right, bool (n,).

    The first training of `train`, without a validation part, changes nothing in what it delivers.
    """
    task, part = prepared.task, lab.dataset.frame[lab.dataset.frame["split"] == "test"]
    if configuration.is_trained:
        learned = learn(task, configuration, Start(prepared.sweep.reference.l2))
        model = Model((kept_member(task, configuration, learned.state),), task.sample.classes, 1.0, task.fit)
        answers = model.probabilities(list(part["path"])).argmax(axis=1)
    else:
        features = lab.features(configuration.backbone, pictures_of(part))
        answers = solve_frozen(task, configuration).predict(features.matrix(configuration.cuts, configuration.pooling))
    right: np.ndarray = np.array(task.sample.classes)[answers] == part["label"].to_numpy()
    return right


def identity(row: Row, listed: Listing, lab: Lab) -> dict[str, Any]:
    return {
        "set": row.data, "kind": listed.kind, "change": row.change, "per_class": row.per_class, "draw": row.draw,
        "backbone": row.backbone, "trainer": TRAINER_VERSION,
        "n_test": int((lab.dataset.frame["split"] == "test").sum()),
    }  # fmt: skip


def known(found: Assessment) -> dict[str, Any]:
    """Return what `recommend` knows of the training part."""
    sample, domain, curve = found.sample, found.domain, found.expectations.curve
    counts = np.bincount(sample.y)
    probes = sorted(
        (c.source.cuts[0], round(c.accuracy, 4)) for c in found.evidence.probe
        if len(c.source.cuts) == 1 and c.source.pooling == "mean"
    )  # fmt: skip
    values = {
        "n_train": sample.n_training, "n_classes": len(sample.classes), "majority": counts.max() / counts.sum(),
        "distance": domain.distance, "relative": domain.relative, "depth_distance": domain.depth_distance,
        "different": domain.different, "large": found.size.large,
        "by_depth": " ".join(f"{value:.4f}" for value in domain.by_depth),
        "probe_by_cut": " ".join(f"{cut}:{accuracy}" for cut, accuracy in probes),
        "curve": " ".join(f"{n:.1f}:{a:.4f}" for n, a in zip(curve.sizes, curve.accuracy, strict=True)),
        "flips": int(sum(flip.allowed for flip in found.flips)),
        "unfrozen": found.unfreezing.count, "last_stage": found.expectations.known.last_stage,
        "gain_twice": curve.step(sample.n_training, 2 * sample.n_training)[0] if curve.is_measured else 0.0,
        "cell": found.matrix.cell,
    }  # fmt: skip
    late = found.expectations.candidates["feature_extractor"]
    for strategy, candidate in found.expectations.candidates.items():
        estimate = found.expectations.estimates[strategy]
        gain, stderr = paired_gain(right_of(late, sample), right_of(candidate, sample), sample.groups)
        values |= {
            f"expected_{strategy}": estimate.accuracy, f"low_{strategy}": estimate.interval[0],
            f"high_{strategy}": estimate.interval[1], f"beta_a_{strategy}": estimate.a,
            f"beta_b_{strategy}": estimate.b, f"optimism_{strategy}": estimate.optimism,
            f"gain_{strategy}": gain, f"gain_stderr_{strategy}": stderr, f"cv_{strategy}": candidate.accuracy,
            f"how_{strategy}": candidate.describe().split(", ", 1)[1],
        }  # fmt: skip
    return values


def right_of(candidate: Candidate, sample: Sample) -> np.ndarray:
    right: np.ndarray = candidate.path.predictions[candidate.path.best] == sample.y
    return right


def reached(right: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the test accuracies, paired standard errors against the feature extractor, and the oracle's floor."""
    base = right["feature_extractor"]
    values: dict[str, Any] = {f"true_{name}": own.mean() for name, own in right.items()}
    values |= {f"true_stderr_{name}": paired_gain(base, own)[1] for name, own in right.items()}
    return {**values, "oracle": halved_oracle(np.stack(list(right.values())))}


def halved_oracle(right: np.ndarray) -> float:
    """Return what the best of the four reaches that is chosen on one half of the test pictures, on the other.

    Averaged over halves, so that a strategy that is best by luck is not called the best one.

    Args:
        right: bool (4, n).
    """
    rng, scores = np.random.default_rng(0), []
    for _ in range(HALVES):
        order = rng.permutation(right.shape[1])
        for ours, theirs in ((order[::2], order[1::2]), (order[1::2], order[::2])):
            chosen = right[:, ours].mean(axis=1)
            scores.append(right[chosen == chosen.max()][:, theirs].mean())
    return float(np.mean(scores))


def cost(found: Assessment, trained: dict[str, Configuration]) -> dict[str, Any]:
    """Return what training takes, in units that do not depend on who else uses the machine."""
    n, values = found.sample.n_training, dict[str, Any]()
    for strategy, configuration in trained.items():
        if configuration.is_trained:
            values[f"pictures_{strategy}"] = n * configuration.tuned.all_epochs
            values[f"stages_{strategy}"] = min(configuration.tuned.unfrozen, max(configuration.cuts))
    return values


def work(root: Path, folder: Path, weights: Path | None, *, again: bool = False) -> None:
    """Measure every row that nobody has measured or begun; or, `again`, what is known of those that are measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in planned():
        done, claim = folder / f"{row.name}.json", FileLock(folder / f"{row.name}.claimed")
        if done.exists() != again:
            continue
        try:
            claim.acquire(blocking=False)  # it goes with the process, however that ends
        except Timeout:
            continue
        begun = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as scratch:
                if again:
                    values = known_again(root, row, Path(scratch), weights, json.loads(done.read_text()))
                else:
                    values = measure(root, row, Path(scratch), weights)
            temporary = folder / f"{row.name}.tmp"
            temporary.write_text(json.dumps(values, default=float))
            temporary.replace(done)
            told = {name: round(float(values[f"true_{name}"]), 3) for name in STRATEGIES if f"true_{name}" in values}
            print(f"{row.name} {time.perf_counter() - begun:.0f} s {told} oracle {values['oracle']:.3f}", flush=True)
        except Exception as error:  # a row that cannot be measured does not cost the others
            print(f"{row.name} failed: {type(error).__name__}: {error}", flush=True)
        finally:
            claim.release()


def collect(folder: Path, out: Path) -> pd.DataFrame:
    """Write every row that is known into the panel, in the order in which they were planned."""
    files = [folder / f"{row.name}.json" for row in planned()]
    rows = pd.DataFrame([json.loads(file.read_text()) for file in files if file.exists()])
    temporary = out.with_suffix(".tmp")
    rows.round(4).to_csv(temporary, index=False)
    temporary.replace(out)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["rows", "again", "collect", "list"])
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds clothing/, trashnet/, ...")
    parser.add_argument("--work", type=Path, required=True, help="where rows are kept, one file each")
    parser.add_argument("--weights", type=Path, help="a .safetensors file of the second family")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    if arguments.act in ("rows", "again"):
        work(arguments.data.resolve(), arguments.work, arguments.weights, again=arguments.act == "again")
    elif arguments.act == "list":
        print("\n".join(f"{row.name}" for row in planned()))
    else:
        print(f"{len(collect(arguments.work, arguments.out))} rows")


if __name__ == "__main__":
    main()
