"""Print what the peers and automl-tl came to, as Markdown; draw accuracy against time.

    python -m benchmarks.peers.table [--ours 'automl-tl after'] [--unchanged 'automl-tl before' ...]
        [--sets NAME ...] [--sizes N ...] [--plot docs/peers.svg ...]

What is compared may lack cells in which it does what an earlier checkout did: `--unchanged` takes them from there.
Data sets that a number of automl-tl was chosen on are marked with *. Ratios are of errors, geometric means over sets
and draws with the span of a standard error that is clustered by data set: below 1 the first of the two errs less. The
best of the peers is chosen in every cell on its test pictures, which flatters them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from benchmarks.peers.cells import TUNED
from benchmarks.peers.compare import best_of, by_tool, difference, ratio, within
from benchmarks.peers.rows import RESULTS, read
from benchmarks.peers.tools import OURS

THREE = ("linear", "fastai", "AutoGluon")
"""The peers; what is written by hand is compared with on its own."""
BY_HAND = ("by hand", "by hand middle")
"""Two ways to make pictures square; where one was measured alone it counts as the better one."""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def marked(data: str) -> str:
    return f"{data}*" if data in TUNED else data


def values(table: pd.DataFrame, value: str) -> str:
    """Return a value by cell (mean over draws), tool and budget, in the order in which tools came."""
    budgets = sorted(set(table["budget"]) - {0})
    wide = pd.concat({b: by_tool(table, value, b) for b in budgets}, axis=1).groupby(level=[0, 1]).mean()
    columns = [(b, tool) for b in budgets for tool in table["tool"].unique() if (b, tool) in wide]
    head = ["pictures of a class", *(f"{tool}, {budget} s" for budget, tool in columns)]
    rows = [
        [f"{marked(data)}, {size}", *(shown(wide.loc[(data, size), c]) for c in columns)] for data, size in wide.index
    ]
    complete = wide[columns].dropna(axis=1)
    means = [shown(complete[c].mean()) if c in complete else "" for c in columns]
    return markdown(head, [*rows, ["mean", *means]])


def shown(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def ratios(table: pd.DataFrame, ours: str) -> Iterator[tuple[str, str]]:
    """Yield what is compared, and the ratio of errors: on all sets, and on those that nothing was chosen on."""
    others = [tool for tool in table["tool"].unique() if tool.startswith(OURS) and tool != ours]
    parts = {"": table, ", sets without *": table[~table["data"].isin(TUNED)]}
    for which, part in parts.items():
        budgets = sorted(set(part.loc[part["tool"] == ours, "budget"]))
        wide = {budget: by_tool(part, "error", budget) for budget in budgets}
        for budget in budgets:
            mine = wide[budget][ours]
            rivals = {"the best of the peers": best_of(wide[budget], THREE)}
            rivals |= {"the better way by hand": best_of(wide[budget], BY_HAND)}
            rivals |= {name: best_of(wide[budget], [name]) for name in (*THREE, *BY_HAND, *others)}
            found = {name: ratio(mine, theirs) for name, theirs in rivals.items()}
            yield from ((f"{budget} s, to {name}{which}", str(one)) for name, one in found.items() if one)
        for short, long in pairwise(budgets):
            one = ratio(wide[long][ours], wide[short][ours])
            yield f"{long} s, to itself in {short} s{which}", str(one)


def differences(table: pd.DataFrame, ours: str) -> Iterator[list[str]]:
    """Yield set, budget, rival and the paired difference in accuracy, for the best peer and for what is by hand."""
    for budget in sorted(set(table.loc[table["tool"] == ours, "budget"])):
        rows = within(table, budget).set_index("tool")
        for (data, size), cell in rows.groupby(["data", "per_class"], sort=False):
            for rivals in (THREE, BY_HAND):
                texts = [paired(one, ours, rivals) for _, one in cell.groupby("draw")]
                both = [pair for pair in texts if pair is not None]
                if both:
                    mean, error = difference([a for a, _ in both], [b for _, b in both])
                    name = "best peer" if rivals is THREE else "by hand"
                    worse = "worse" if mean < -error else ""
                    yield [f"{marked(data)}, {size}", f"{budget}", name, f"{mean:+.3f}", f"{error:.3f}", worse]


def paired(cell: pd.DataFrame, ours: str, rivals: Sequence[str]) -> tuple[str, str] | None:
    """Return which pictures ours and the best of the rivals had right in one draw, None where one is missing."""
    theirs = cell[cell.index.isin(rivals)]
    if ours not in cell.index or theirs.empty:
        return None
    return cell.loc[ours, "right"], theirs.loc[theirs["accuracy"].idxmax(), "right"]


def seconds(table: pd.DataFrame) -> str:
    """Return what each tool took, and how busy the machine was when it began."""
    found = table.groupby(["tool", "budget"], sort=False).agg(
        n=("seconds", "size"), average=("seconds", "mean"), most=("seconds", "max"), busy=("load", "median")
    )
    rows = [[f"{tool}, {b} s" if b else tool, f"{r.n:.0f}", f"{r.average:.0f}", f"{r.most:.0f}", f"{r.busy:.1f}"]
            for (tool, b), r in found.iterrows()]  # fmt: skip
    return markdown(["tool", "rows", "mean seconds", "most", "median load at the start"], rows)


def parts(table: pd.DataFrame, ours: str) -> str:
    """Return where the seconds of a budget went, the mean over all cells that say so; "" where none does."""
    own = table[(table["tool"] == ours) & table["parts"].notna()] if "parts" in table else table[:0]
    if own.empty:
        return ""
    went, budget = pd.DataFrame([json.loads(text) for text in own["parts"]], own.index).fillna(0.0), own["budget"]
    means, counts = went.groupby(budget).mean(), budget.value_counts()
    rows = [[name, *(f"{seconds:.1f}" for seconds in means[name])] for name in means]
    head = ["seconds", *(f"of {one} ({counts[one]} rows)" for one in means.index)]
    return f"\n\n## Where they go, {ours}\n\n{markdown(head, rows)}"


def filled(table: pd.DataFrame, ours: str, unchanged: str) -> pd.DataFrame:
    """Return the table in which rows of `unchanged` are ours in the cells that have none of ours."""
    cell = ["data", "per_class", "draw", "budget"]
    known = pd.MultiIndex.from_frame(table.loc[table["tool"] == ours, cell])
    missing = (table["tool"] == unchanged) & ~pd.MultiIndex.from_frame(table[cell]).isin(known)
    return table.assign(tool=table["tool"].mask(missing, ours))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--ours", help="which of several checkouts is compared; default: the last one in the file")
    parser.add_argument("--unchanged", nargs="*", default=[], help="others, whose rows count in cells that have none")
    parser.add_argument("--sets", nargs="+", help="default: all")
    parser.add_argument("--sizes", type=int, nargs="+", help="training pictures of a class; default: all")
    parser.add_argument("--plot", type=Path, nargs="*", default=[], help="files to draw to: .svg, .png")
    asked = parser.parse_args(arguments)
    table = read(asked.rows)
    for column, wanted in (("data", asked.sets), ("per_class", asked.sizes)):
        table = table if wanted is None else table[table[column].isin(wanted)]
    if table.empty:
        raise SystemExit(f"nothing has been measured yet: {asked.rows} has no rows of that")
    mine = [tool for tool in table["tool"].unique() if tool.startswith(OURS)]
    ours = asked.ours or (mine[-1] if mine else "")
    for label in asked.unchanged:
        table = filled(table, ours, label)
    for title, value in (("Accuracy", "accuracy"), ("Log loss", "log_loss")):
        print(f"## {title}\n\n{values(table, value)}\n")
    print(f"## Errors of {ours}\n\n{markdown(['at', 'ratio'], list(ratios(table, ours)))}\n")
    head = ["pictures of a class", "seconds", "against", "accuracy", "standard error", ""]
    print(f"## Differences of {ours}\n\n{markdown(head, list(differences(table, ours)))}\n")
    print(f"## Seconds\n\n{seconds(table)}{parts(table, ours)}")
    if asked.plot:
        from benchmarks.peers.plot import draw

        earlier = table["tool"].str.startswith(OURS) & (table["tool"] != ours)
        draw(table[~earlier].replace({"tool": {ours: OURS}}), asked.plot)


if __name__ == "__main__":
    main()
