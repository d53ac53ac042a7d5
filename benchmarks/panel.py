"""The panel: what `recommend` knows of real data sets, and what each of the four strategies reaches on them.

    python benchmarks/panel.py rows ../shared/data --work FOLDER     # hours; several at once share the rows
    python benchmarks/panel.py again ../shared/data --work FOLDER    # what is known before training, anew
    python benchmarks/panel.py frozen ../shared/data --work FOLDER   # that, and what frozen features reach, anew
    python benchmarks/panel.py tried ../shared/data --work FOLDER    # the short fine-tuning, by what is calibrated now
    python benchmarks/panel.py collect --work FOLDER                 # writes datasets_meta/panel.csv

A row is a data set at so many training pictures a class, drawn anew for every draw, with one backbone. The pictures
are drawn, `assess` looks at the training part, each strategy is trained on it to completion as `automl-tl train
--strategy` would, and all four are tested once on pictures that nothing saw. A row is a file of its own in FOLDER as
soon as it is known, so an interrupted run goes on where it stopped. `collect` puts the rows of FOLDER in the place of
earlier ones of the panel; what the panel has of today's trainer is not trained again, so FOLDER may be lost after it.
`frozen` is for changes of what is solved and not of what is trained: it takes rows of every trainer, and a new FOLDER.
`--out benchmarks/results/panel_rows.csv` keeps the rows of a trainer aside, beside those of the one before.
datasets_meta/README.md says what the columns are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from panel_cost import with_operations
from panel_rows import MOBILENET, Opened, Row, Sources, opened, planned, row_of

from automl_tl.features.picture import pictures_of
from automl_tl.lab.assessment import Assessment, assess
from automl_tl.lab.expectations import counted_gain
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import draw_sample
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import paired_gain
from automl_tl.learning.trainer import TRAINER_VERSION, Start
from automl_tl.model.model import Model
from automl_tl.options import ConfigurationOptions
from automl_tl.recommender.short_training import foreseen_scored, try_fine_tuning
from automl_tl.recommender.value_of_trying import WORTH, value_of_trying
from automl_tl.searcher.asked import configuration_asked_for
from automl_tl.searcher.delivery.members import kept_member
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.frozen import solve_frozen
from automl_tl.searcher.trials.trained import learn
from automl_tl.strategies import FROZEN, STRATEGIES, Strategy

AS_TODAY = (5, 6, TRAINER_VERSION)
"""Versions that train alike: they differ only where classes weigh differently, which no row asks for, and in what many
pictures begin with."""
DEFAULT_OUT = Path(__file__).parents[1] / "datasets_meta" / "panel.csv"
HALVES = 200
ROUNDED = 1e-4
"""Accuracies that differ by less are the same, as they stand in the panel."""
SHORT_SECONDS = 180.0
"""What the short fine-tuning may take on one core: about what is left of two minutes on two."""


def measure(one: Opened) -> dict[str, Any]:
    """Return everything that is known of a row."""
    lab, found = one.lab, assessed(one.lab)
    assert one.options.out is not None
    run = RunFolder(one.options.out)
    with run.claimed():
        session = Session(lab, one.options, run, Deadline(None), Limits())
        prepared = prepare(session, lambda task, backbone: None)
        right, trained = reaching(lab, prepared, [row.strategy for row in found.expectations.front])
    part = lab.dataset.frame[lab.dataset.frame["split"] == "test"]
    clusters = pd.factorize(part["group"].where(part["group"] != "", part["path"]))[0]
    return {**identity(one), **known(found), **reached(right, clusters), **cost(found, trained)}


def reaching(
    lab: Lab, prepared: Prepared, strategies: Iterable[Strategy]
) -> tuple[dict[Strategy, np.ndarray], dict[Strategy, Configuration]]:
    """Return which test pictures each strategy has right, bool (n,), and what was learned for it."""
    asked = {name: configuration_asked_for(prepared, ConfigurationOptions(strategy=name)) for name in strategies}
    return {name: tested(lab, prepared, configuration) for name, configuration in asked.items()}, asked


def frozen_again(one: Opened, kept: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what is known before training, and with what frozen features reach, as the code of today does.

    What was trained stays, and how far the best of all four is above the oracle.
    """
    lab, found = one.lab, assessed(one.lab)
    assert one.options.out is not None
    run = RunFolder(one.options.out)
    with run.claimed():
        prepared = prepare(Session(lab, one.options, run, Deadline(None), Limits()), lambda task, backbone: None)
        right, _ = reaching(lab, prepared, found.expectations.candidates)
    after = {name: value for name, value in kept.items() if name not in {f"true_{strategy}" for strategy in FROZEN}}
    after |= {f"true_{name}": float(own.mean()) for name, own in right.items()}
    return {**trained_before(after), "oracle": kept["oracle"] + best(after) - best(kept), **known(found)}


def best(row: dict[str, Any]) -> float:
    """Return what the best of the four strategies reached."""
    return float(np.nanmax([row.get(f"true_{name}", np.nan) for name in STRATEGIES]))


def known_again(one: Opened, kept: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what is known before training as the code of today finds it; what was trained stays.

    So does a short fine-tuning where the frozen features that it was compared with are the same and as good.

    Raises:
        ValueError: another version of the trainer has trained it, whose heads are not those that are known today.
    """
    if kept["trainer"] not in AS_TODAY:
        raise ValueError(f"the row is of version {kept['trainer']} of the trainer, this is {TRAINER_VERSION}")
    found = known(assessed(one.lab))
    how, cv = (f"{name}_feature_extractor" for name in ("how", "cv"))
    same = found[how] == kept[how] and abs(found[cv] - kept[cv]) < ROUNDED
    tried = {name: value for name, value in kept.items() if same and name.startswith("tried_")}
    return {**trained_before(kept), **tried, **found}


def trained_before(kept: dict[str, Any]) -> dict[str, Any]:
    """Return what a row is of, and what was trained and tested; a short fine-tuning is beside what was known then."""
    of_what = ("set", "kind", "change", "per_class", "draw", "backbone", "fit", "n_test")
    came_true, prefixes = ("trainer", "engine", "oracle"), ("true_", "pictures_", "stages_")
    return {k: v for k, v in kept.items() if k in (*of_what, *came_true) or k.startswith(prefixes)}


def tried_on(one: Opened, kept: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what the short fine-tuning of `recommend` measures on it, where that may be worth its time."""
    found = assessed(one.lab)
    foreseen = foreseen_scored(one.lab, found, SHORT_SECONDS)
    error = one.lab.calibration.short_run.error(found.expectations.known, foreseen)
    values = {**kept, "tried_runs": 0, "tried_n_foreseen": foreseen}
    if value_of_trying(found.expectations.front, error, None) < WORTH / 2:
        return values
    tried = try_fine_tuning(one.lab, found, found.evidence.late, SHORT_SECONDS, lambda done, total: None)
    if tried is None:
        return values
    names = ("frozen", "tuned", "stderr", "n_trained", "n_available", "n_scored", "epochs")
    return {**values, "tried_runs": tried.n_runs, **{f"tried_{name}": getattr(tried, name) for name in names}}


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


def identity(one: Opened) -> dict[str, Any]:
    row, lab = one.row, one.lab
    return {
        "set": row.data, "kind": one.listed.kind, "change": row.change, "per_class": row.per_class, "draw": row.draw,
        "backbone": row.backbone, "trainer": TRAINER_VERSION, "engine": lab.engine.for_training.name,
        "fit": lab.report.fit, "n_test": int((lab.dataset.frame["split"] == "test").sum()),
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
        "unfrozen": found.unfreezing.count,
        "gain_twice": curve.step(sample.n_training, 2 * sample.n_training)[0] if curve.is_measured else 0.0,
        "cell": found.matrix.cell,
    }  # fmt: skip
    late = found.expectations.candidates["feature_extractor"]
    for strategy, candidate in found.expectations.candidates.items():
        estimate = found.expectations.estimates[strategy]
        gain, stderr = counted_gain(candidate, late, sample)
        values |= {
            f"expected_{strategy}": estimate.accuracy, f"low_{strategy}": estimate.interval[0],
            f"high_{strategy}": estimate.interval[1], f"beta_a_{strategy}": estimate.a,
            f"beta_b_{strategy}": estimate.b, f"optimism_{strategy}": estimate.optimism,
            f"confidence_{strategy}": candidate.path.confidence, f"cv_{strategy}": candidate.accuracy,
            f"gain_{strategy}": gain, f"gain_stderr_{strategy}": stderr,
            f"how_{strategy}": candidate.describe().split(", ", 1)[1],
        }  # fmt: skip
    return values


def reached(right: Mapping[Strategy, np.ndarray], clusters: np.ndarray) -> dict[str, Any]:
    """Return the test accuracies, paired standard errors against the feature extractor, and the oracle's floor.

    Args:
        right: bool (n,) per strategy.
        clusters: int (n,), test pictures of one group are no independent ones.
    """
    base = right["feature_extractor"]
    values: dict[str, Any] = {f"true_{name}": own.mean() for name, own in right.items()}
    values |= {f"true_stderr_{name}": paired_gain(base, own, clusters)[1] for name, own in right.items()}
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


def cost(found: Assessment, trained: Mapping[Strategy, Configuration]) -> dict[str, Any]:
    """Return what training takes, in units that do not depend on who else uses the machine."""
    n, values = found.sample.n_training, dict[str, Any]()
    for strategy, configuration in trained.items():
        if configuration.is_trained:
            values[f"pictures_{strategy}"] = n * configuration.tuned.all_epochs
            values[f"stages_{strategy}"] = min(configuration.tuned.unfrozen, max(configuration.cuts))
    return values


ACTS: dict[str, Callable[[Opened, dict[str, Any]], dict[str, Any]]] = {
    "rows": lambda one, _: measure(one), "again": known_again, "frozen": frozen_again, "tried": tried_on,
}  # fmt: skip


def is_due(act: str, kept: dict[str, Any]) -> bool:
    """Return whether a row waits for an act, by what is known of it: what is measured once is not measured again."""
    if act == "rows" or not kept:
        return act == "rows" and not kept
    return act in ("again", "frozen") or pd.isna(kept.get("tried_runs", np.nan))


def is_of_today(kept: pd.Series) -> bool:
    """Return whether a row was trained as today's trainer would."""
    return kept["trainer"] in AS_TODAY


def in_panel(panel: Path) -> dict[Row, pd.Series]:
    """Return the rows of a panel, by what was planned."""
    rows = pd.read_csv(panel, dtype={"trainer": int}) if panel.exists() else pd.DataFrame()
    return {row_of(kept): kept for _, kept in rows.iterrows()}


def work(sources: Sources, folder: Path, act: str, panel: Path) -> None:
    """Do an act on every row that waits for it and that nobody has begun."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {row: dict(kept) for row, kept in in_panel(panel).items() if act == "frozen" or is_of_today(kept)}
    for row in planned():
        done, claim = folder / f"{row.name}.json", FileLock(folder / f"{row.name}.claimed")
        kept = json.loads(done.read_text()) if done.exists() else there.get(row, {})
        if not is_due(act, kept) or (act == "frozen" and done.exists()):
            continue
        try:
            claim.acquire(blocking=False)  # it goes with the process, however that ends
        except Timeout:
            continue
        begun = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as scratch:
                one = opened(sources, row, Path(scratch), row.data if act == "tried" else "")
                values = ACTS[act](one, kept)
            temporary = folder / f"{row.name}.tmp"
            temporary.write_text(json.dumps(values, default=float))
            temporary.replace(done)
            print(f"{row.name} {time.perf_counter() - begun:.0f} s {told(values)}", flush=True)
        except Exception as error:  # a row that cannot be measured does not cost the others
            print(f"{row.name} failed: {type(error).__name__}: {error}", flush=True)
        finally:
            claim.release()


def told(values: dict[str, Any]) -> str:
    true = {name: round(float(values[f"true_{name}"]), 3) for name in STRATEGIES if f"true_{name}" in values}
    tried = f" tried {values['tried_frozen']:.3f} -> {values['tried_tuned']:.3f}" if values.get("tried_runs") else ""
    return f"{true} oracle {values['oracle']:.3f}{tried}"


def collect(folder: Path, out: Path, weights: Path | None) -> pd.DataFrame:
    """Write every row that is known into the panel, in the order in which they were planned; others of it stay."""
    files = {row: folder / f"{row.name}.json" for row in planned()}
    known = {row: json.loads(file.read_text()) for row, file in files.items() if file.exists()}
    fresh = with_operations(pd.DataFrame(known.values()), {} if weights is None else {MOBILENET: weights})
    there = {row: kept for row, kept in in_panel(out).items() if row not in known}
    rows = pd.concat([fresh, pd.DataFrame(there.values())], ignore_index=True)
    order = {row: place for place, row in enumerate(planned())}
    places = pd.Series([order.get(row, len(order)) for row in [*known, *there]])
    rows = rows.iloc[places.argsort(kind="stable")]
    temporary = out.with_suffix(".tmp")
    rows.round(4).to_csv(temporary, index=False)
    temporary.replace(out)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=[*ACTS, "collect", "list"])
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds clothing/, trashnet/, ...")
    parser.add_argument("--work", type=Path, required=True, help="where rows are kept, one file each")
    parser.add_argument("--weights", type=Path, help="a .safetensors file of the second family")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the panel")
    arguments = parser.parse_args()
    if arguments.act in ACTS:
        work(Sources(arguments.data.resolve(), arguments.weights), arguments.work, arguments.act, arguments.out)
    elif arguments.act == "list":
        print("\n".join(f"{row.name}" for row in planned()))
    else:
        print(f"{len(collect(arguments.work, arguments.out, arguments.weights))} rows")


if __name__ == "__main__":
    main()
