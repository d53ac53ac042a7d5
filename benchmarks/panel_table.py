"""How good the recommendation is on the panel, each set judged by a calibration that has never seen it.

    python benchmarks/panel_table.py [--out benchmarks/results/panel_table.csv]

Regret is in accuracy, against the oracle's floor: the best of the four strategies chosen on one half of the test
pictures and scored on the other, so that luck is not called regret; with a budget, the best of those that fit it.
A constant answer that does not fit is the feature extractor. Standard errors are clustered by data set. Seconds come
from one quiet timing of the backbone on this machine, not from the hours in which the panel was made.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from calibrate import BASE, META, left_out, tried
from scipy.stats import beta, norm

from automl_tl.backbones.registry import get_backbone
from automl_tl.cache_dir import cache_dir
from automl_tl.features.engine import choose_engine
from automl_tl.lab.calibration import Calibration
from automl_tl.lab.decision import FrontRow, choose, probabilities_of_being_best
from automl_tl.lab.expectations import expecting, trainings
from automl_tl.lab.matrix import judge_size, place
from automl_tl.lab.neighbours import known_row
from automl_tl.lab.networks import Networks
from automl_tl.lab.sample import FOLDS_OF_TRAINED
from automl_tl.lab.timing import training_speed
from automl_tl.learning.estimate import Estimate, combine_gain, fewness
from automl_tl.learning.recipe import epochs_for
from automl_tl.recommender.value_of_trying import WORTH, value_of_trying
from automl_tl.strategies import FROZEN, STRATEGIES, Strategy

OUT = Path(__file__).parent / "results" / "panel_table.csv"
BUDGETS = {"time no object": None, "5 min": 300.0, "30 s": 30.0}
LEVEL = 0.9
_DRAWS = 4000
TIMED = "efficientnet_lite0"
BORDERS_BEFORE: dict[tuple[bool, bool], Strategy] = {
    (False, False): "feature_extractor", (False, True): "early_feature_extractor",
    (True, False): "fine_tuning", (True, True): "pretrained_initialization",
}  # fmt: skip
"""The matrix before: large from 1,500 pictures and 100 a class on (their geometric mean), different at even odds."""


def seconds_of(row: pd.Series) -> dict[Strategy, float]:
    """Return what each strategy takes on this machine, from one timing of its backbone (the first stands for all)."""
    networks = Networks(choose_engine("cpu"), cache_dir(None))
    network, folder = networks.network(TIMED), networks.timing
    speed = training_speed(
        network, networks.engine.for_training, network.n_stages, min(int(row["unfrozen"]), network.n_stages), folder
    )
    n, epochs = int(row["n_train"]), epochs_for(int(row["n_train"]))
    tuned, whole = (trainings(FOLDS_OF_TRAINED) * once for once in (speed.tuning(n, epochs), n * epochs * speed.whole))
    frozen = 0.0  # its features are kept, and a head is solved in no time
    return {
        "feature_extractor": frozen, "early_feature_extractor": frozen, "fine_tuning": tuned,
        "pretrained_initialization": whole,
    }  # fmt: skip


@cache
def parameters_of(name: str) -> int:
    """Return the parameters of a backbone's stages, as `recommend` counts them: without the source task's head."""
    backbone = get_backbone(name)
    module = backbone.build(pretrained=False)
    return sum(p.numel() for stage in backbone.stages(module) for p in stage.parameters())


def estimated(row: pd.Series) -> Estimate:
    """Return what `recommend` expected of the feature extractor."""
    return Estimate(
        row[f"expected_{BASE}"], (row[f"low_{BASE}"], row[f"high_{BASE}"]), row[f"optimism_{BASE}"],
        int(row["n_train"]), row[f"beta_a_{BASE}"], row[f"beta_b_{BASE}"], flawless=is_flawless(row, BASE),
    )  # fmt: skip


def is_flawless(row: pd.Series, strategy: Strategy) -> bool:
    """Return whether a frozen strategy has every training picture right out of fold."""
    return bool(row.get(f"cv_{strategy}", 0.0) == 1)


def front_of(row: pd.Series, calibration: Calibration, seconds: dict[Strategy, float]) -> list[FrontRow]:
    """Return the front that `recommend` would show of a row of the panel, nothing tried."""
    base = estimated(row)
    gains = calibration.expect(known_row(row))
    start = FrontRow(BASE, base.accuracy, base.interval, seconds[BASE], True, 0.0, 0.0, "")
    rows = [start]
    for strategy in STRATEGIES[1:]:
        gain = gains[strategy]
        if strategy in FROZEN:
            measured, stderr = row[f"expected_{strategy}"] - base.accuracy, row[f"gain_stderr_{strategy}"]
            gain = gain.with_measured(measured, stderr)
        own = replace(start, strategy=strategy, seconds=seconds[strategy], measured=strategy in FROZEN)
        rows.append(expecting(own, base, gain, row["majority"], flawless=is_flawless(row, strategy)))
    return rows


def with_trying(
    row: pd.Series, calibration: Calibration, front: list[FrontRow], budget: float | None
) -> list[FrontRow]:
    """Return the front after the short fine-tuning that `recommend` runs by default where it is worth its time.

    With a budget it has as much time as without one. For how many pictures there is time was foreseen by the timings
    of the machine that then ran it. Rows on which it was not measured count as untried.
    """
    known, usual = known_row(row), calibration.short_run
    if not row.get("tried_runs", 0) > 0:
        return front
    if value_of_trying(front, usual.error(known, int(row["tried_n_foreseen"])), budget) <= WORTH:
        return front
    base = estimated(row)
    gain = tried(row).update(calibration.expect(known)["fine_tuning"], base.optimism, known, usual)
    return [
        one if one.strategy != "fine_tuning" else replace(expecting(one, base, gain, row["majority"]), tried=True)
        for one in front
    ]


def answers(row: pd.Series, calibration: Calibration) -> dict[str, str]:
    """Return what every rule says of a row."""
    seconds = seconds_of(row)
    front = front_of(row, calibration, seconds)
    n, per_class = int(row["n_train"]), row["n_train"] / row["n_classes"]
    size = judge_size(n, per_class, parameters_of(row["backbone"]), calibration.borders)
    different = None if np.isnan(row["different"]) else float(row["different"])
    matrix = place(size.large, different, calibration.borders.different)
    said = {
        f"ours, {name}": str(choose(with_trying(row, calibration, front, budget), matrix, budget).strategy)
        for name, budget in BUDGETS.items()
    }
    said |= {f"untried, {name}": str(choose(front, matrix, budget).strategy) for name, budget in BUDGETS.items()}
    said |= {f"before, {name}": before(row, seconds, budget) for name, budget in BUDGETS.items()}
    for name, budget in BUDGETS.items():
        fit = fitting(seconds, budget)
        said |= {f"always {one}, {name}": one if one in fit else BASE for one in STRATEGIES}
    said["size alone"] = "fine_tuning" if size.verdict == "large" else "feature_extractor"
    said["matrix alone"] = str(matrix.cell or BASE)
    return said


def gains_before(row: pd.Series) -> dict[str, tuple[float, float]]:
    """Return the share of errors and its spread that were expected before there was a panel, typed in by hand."""
    p = 0.5 if np.isnan(row["different"]) else row["different"]
    large = norm.cdf(np.log(np.sqrt(row["n_train"] / 1500 * row["n_train"] / row["n_classes"] / 100)) / 0.5)
    likes = {"fine_tuning": (0.15, 0.20, 0.50, 0.25), "pretrained_initialization": (-0.15, 0.25, 0.30, 0.45)}
    gains = {}
    for name, (like, like_sd, unlike, unlike_sd) in likes.items():
        mean, spread = (1 - p) * like + p * unlike, (1 - p) * like_sd**2 + p * unlike_sd**2
        mean += 0.25 * large if name == "pretrained_initialization" else 0.0
        gains[name] = (mean, float((spread + p * (1 - p) * (like - unlike) ** 2) ** 0.5))
    return gains


def before(row: pd.Series, seconds: dict[Strategy, float], budget: float | None) -> str:
    """Return the rule before there was a panel: a gain must exceed its standard error."""
    errors = 1 - row[f"expected_{BASE}"]
    alone = row["gain_stderr_early_feature_extractor"] / np.sqrt(fewness(row["n_train"] / row["n_classes"]))
    early = (row["gain_early_feature_extractor"], alone)
    gains = {BASE: (0.0, 0.0), "early_feature_extractor": early}
    gains |= {name: (errors * mean, errors * sd) for name, (mean, sd) in gains_before(row).items()}
    start = BORDERS_BEFORE[row["n_train"] * row["n_train"] / row["n_classes"] >= 150_000, row["different"] > 0.5]
    allowed = [name for name in gains if (name in FROZEN if budget is None else seconds[name] <= budget)]
    if not allowed:
        return min(seconds, key=lambda name: seconds[name])
    best = max(allowed, key=lambda name: gains[name][0])
    if budget is not None and seconds[start] > budget:
        return best
    if budget is None and start not in FROZEN:
        return start
    difference, error = gains[best][0] - gains[start][0], np.hypot(gains[best][1], gains[start][1])
    return best if difference > error else start


def fitting(seconds: dict[Strategy, float], budget: float | None) -> tuple[Strategy, ...]:
    """Return the strategies that fit a budget; the frozen ones where none does, as something must be answered."""
    fit = tuple(name for name in STRATEGIES if budget is None or seconds[name] <= budget)
    return fit or FROZEN


def oracle_within(row: pd.Series, allowed: tuple[Strategy, ...]) -> float:
    """Return what the best of some strategies reaches that is chosen on one half of the test pictures, on the other.

    The panel keeps that of all four alone. Of fewer it follows from their accuracies and the standard errors of the
    differences to the feature extractor, as if normal: what the halves deviate by, one up and the other down.
    Differences to the same strategy share its noise, so they are correlated by a half. For all four this differs from
    what was counted by .3 points on average, and by -.1 with its sign.
    """
    if set(allowed) == set(STRATEGIES):
        return float(row["oracle"])
    true = row[[f"true_{name}" for name in allowed]].to_numpy(float)
    stderr = np.array([0.0 if name == BASE else row[f"true_stderr_{name}"] for name in allowed])
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal((_DRAWS, 1)) + rng.standard_normal((_DRAWS, len(allowed)))) / np.sqrt(2)
    noise = np.concatenate([noise, -noise]) * stderr
    chosen = np.nanargmax(true + noise, axis=1)
    return float((true - noise)[np.arange(len(noise)), chosen].mean())


def clustered(values: pd.Series, sets: pd.Series) -> tuple[float, float]:
    """Return the mean, and its standard error with data sets as the independent units."""
    mean = float(values.mean())
    sums = (values - mean).groupby(sets).sum()
    return mean, float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)) / len(values))


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return every row with the answers, their regrets and the expectations, by calibrations that never saw its set."""
    fits, found = left_out(rows), []
    for _, row in rows.iterrows():
        fit, values, seconds = fits[row["set"]], row.to_dict(), seconds_of(row)
        floors = {name: oracle_within(row, fitting(seconds, budget)) for name, budget in BUDGETS.items()}
        for rule, answer in answers(row, fit).items():
            floor = floors.get(rule.partition(", ")[2], row["oracle"])
            values[f"regret {rule}"] = floor - row[f"true_{answer}"]
            values[f"answer {rule}"] = answer
        front = front_of(row, fit, seconds)
        for name, shares in (("alone", None), ("pooled", fit.usual)):
            values |= {f"best {name} {one}": share for one, share in probabilities_of_being_best(front, shares).items()}
        values |= {f"best usual {one}": share for one, share in fit.usual.items()}
        for one in with_trying(row, fit, front, None):
            values |= {f"our_{one.strategy}": one.accuracy, f"our_low_{one.strategy}": one.interval[0],
                       f"our_high_{one.strategy}": one.interval[1]}  # fmt: skip
        for name, gain in gains_before(row).items():
            reached = combine_gain(estimated(row), *gain)
            values |= {f"expected_{name}": reached.accuracy, f"low_{name}": reached.interval[0],
                       f"high_{name}": reached.interval[1]}  # fmt: skip
        found.append(values)
    return pd.DataFrame(found)


def regrets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean regret with its standard error by rule, all rows and by kind, in points."""
    kinds: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
        "all": lambda r: r["n_train"] > 0, "photos": lambda r: r["kind"] == "photo",
        "others": lambda r: r["kind"] != "photo", "2 classes": lambda r: r["n_classes"] == 2,
        "more classes": lambda r: r["n_classes"] > 2, "under 100": lambda r: r["n_train"] < 100,
        "100 and more": lambda r: r["n_train"] >= 100,
    }  # fmt: skip
    table = {}
    for rule in [c.removeprefix("regret ") for c in rows.columns if c.startswith("regret ")]:
        for name, of in kinds.items():
            part = rows[of(rows)]
            mean, error = clustered(part[f"regret {rule}"], part["set"])
            table.setdefault(rule, {})[f"{name} ({len(part)})"] = f"{100 * mean:.2f}+-{100 * error:.2f}"
    return pd.DataFrame(table).T


def being_best(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how good the probabilities of being the best strategy are; smaller scores are better (Brier 1950)."""
    rows = rows.dropna(subset=[f"true_{strategy}" for strategy in STRATEGIES])
    true = rows[[f"true_{strategy}" for strategy in STRATEGIES]].to_numpy()
    best = true == true.max(axis=1, keepdims=True)
    best = best / best.sum(axis=1, keepdims=True)
    scores, table = {}, {}
    for name in ("pooled", "usual", "alone"):
        said = rows[[f"best {name} {strategy}" for strategy in STRATEGIES]].to_numpy()
        scores[name] = pd.Series(((said - best) ** 2).sum(axis=1), rows.index)
        table[name] = {"Brier score": f"{scores[name].mean():.3f}"} | dict(
            zip(STRATEGIES, said.mean(0).round(3), strict=True)
        )
        mean, error = clustered(scores["pooled"] - scores[name], rows["set"])
        table[name]["pooled less this"] = f"{mean:+.3f}+-{error:.3f}"
    return pd.DataFrame({**table, "was best": dict(zip(STRATEGIES, best.mean(axis=0).round(3), strict=True))}).T


def expectations(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how well each strategy's accuracy was foreseen, in points; coverage and interval scores too."""
    table = {}
    for prefix in ("our", "before"):
        names = ("our_", "our_low_", "our_high_") if prefix == "our" else ("expected_", "low_", "high_")
        for strategy in STRATEGIES:
            expected, low, high = (rows[f"{name}{strategy}"] for name in names)
            true = rows[f"true_{strategy}"]
            error = expected - true
            noise = (true * (1 - true) / rows["n_test"]).mean()
            mean, stderr = clustered(error, rows["set"])
            covered, wide = clustered(true.between(low, high).astype(float), rows["set"])
            seen, around = clustered(covers(expected, low, high, true, rows["n_test"]).astype(float), rows["set"])
            table[f"{prefix} {strategy}"] = {
                "mean error": f"{100 * mean:+.1f}+-{100 * stderr:.1f}",
                "rms error, noise off": round(100 * float(np.sqrt(max((error**2).mean() - noise, 0))), 1),
                "mean abs error, noise off": round(100 * absolute(error, noise), 1),
                "coverage": f"{covered:.2f}+-{wide:.2f}",
                "coverage, test noise in": f"{seen:.2f}+-{around:.2f}",
                "interval score": round(100 * float(interval_score(true, low, high).mean()), 1),
            }
    low, high = binomial(rows)
    true = rows[f"true_{BASE}"]
    table["plain binomial feature_extractor"] = {
        "coverage": f"{true.between(low, high).mean():.2f}",
        "interval score": round(100 * float(interval_score(true, low, high).mean()), 1),
    }
    return pd.DataFrame(table).T


def covers(expected: pd.Series, low: pd.Series, high: pd.Series, true: pd.Series, n_test: pd.Series) -> pd.Series:
    """Return whether intervals for the accuracy on new pictures hold what `n_test` of them, themselves noisy, gave."""
    share = (true * n_test + 1) / (n_test + 2)
    noise = norm.ppf((1 + LEVEL) / 2) * np.sqrt(share * (1 - share) / n_test)
    return true.between(expected - np.hypot(expected - low, noise), expected + np.hypot(high - expected, noise))


def absolute(error: pd.Series, noise: float) -> float:
    """Return the mean absolute error without the test part's noise, as if both were normal."""
    return float(error.abs().mean() * np.sqrt(max(1 - noise / max((error**2).mean(), 1e-12), 0)))


def interval_score(true: pd.Series, low: pd.Series, high: pd.Series) -> pd.Series:
    """Return the interval score of Gneiting and Raftery (2007) at the level of 90 %: smaller is better."""
    return high - low + 2 / (1 - LEVEL) * ((low - true).clip(lower=0) + (true - high).clip(lower=0))


def binomial(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the plain interval (Clopper and Pearson) around the best cross-validated accuracy."""
    n, right = rows["n_train"], (rows[f"cv_{BASE}"] * rows["n_train"]).round()
    low = np.where(right > 0, beta.ppf(0.05, right.clip(lower=1), n - right + 1), 0.0)
    high = np.where(right < n, beta.ppf(0.95, right + 1, (n - right).clip(lower=1)), 1.0)
    return pd.Series(low, rows.index), pd.Series(high, rows.index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", type=Path, default=META / "panel.csv")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    rows = judged(pd.read_csv(arguments.panel))
    pd.set_option("display.width", 250, "display.max_columns", 50)
    print(regrets(rows).to_string())
    print(expectations(rows).to_string())
    print(being_best(rows).to_string())
    worst = rows[rows["regret ours, time no object"] > 0.03]
    shown = ["set", "change", "n_train", "n_classes", "answer ours, time no object", *(f"true_{s}" for s in STRATEGIES)]
    print(worst[shown].to_string())
    temporary = arguments.out.with_suffix(".tmp")
    rows.round(4).to_csv(temporary, index=False)
    temporary.replace(arguments.out)


if __name__ == "__main__":
    main()
