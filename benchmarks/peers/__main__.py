"""automl-tl and its peers on the same pictures, with the same weights, on the same two cores.

    python -m benchmarks.peers ../shared/data --environments FOLDER [--sets NAME ...] [--draws N ...]
        [--budgets SECONDS ...] [--tools NAME ...] [--code CHECKOUT --label after]

Every row is added to `benchmarks/results/peers.csv` as soon as it is known, and what stands there is not measured
again, so an interrupted run goes on where it stopped. Nothing else should run on the machine; the load at the start of
each row is kept beside it. `python -m benchmarks.peers.table` prints what came out. See README.md here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.cells import Cell, cells
from benchmarks.peers.measure import FailedError, Place, keep_to_cores, measure
from benchmarks.peers.rows import RESULTS, Key, add, known, read
from benchmarks.peers.tools import BUDGETS, PEERS, Tool, ours

ROOT = Path(__file__).parents[2]
Planned = tuple[Cell, int, Tool]


def planned(tools: Sequence[Tool], budgets: Sequence[int]) -> Iterator[Planned]:
    """Yield every row, cell by cell."""
    for cell in cells():
        for tool in tools:
            yield from ((cell, budget, tool) for budget in tool.budgets(budgets))


def key(one: Planned) -> Key:
    """Return what tells a row from the others."""
    cell, budget, tool = one
    return cell.data, cell.per_class, cell.draw, budget, tool.name


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that holds clothing/, trashnet/, ...")
    parser.add_argument("--environments", type=Path, required=True, help="made by benchmarks.peers.environments")
    parser.add_argument("--sets", nargs="+", help="default: all")
    parser.add_argument("--sizes", nargs="+", type=int, help="training pictures of a class; default: all")
    parser.add_argument("--draws", nargs="+", type=int, help="default: all")
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS, help="seconds")
    parser.add_argument("--tools", nargs="+", help="linear, 'by hand', fastai, AutoGluon, automl-tl; default: all")
    parser.add_argument("--code", type=Path, default=ROOT, help="the checkout that is measured; default: this one")
    parser.add_argument("--label", default="", help="its name in the table: after gives 'automl-tl after'")
    parser.add_argument("--backbones", nargs="+", default=(), help="for automl-tl, in place of EfficientNet-Lite0")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--log", type=Path, help="what the tools print; default: nowhere")
    parser.add_argument("--list", action="store_true", help="only say what is to be measured")
    return parser.parse_args()


def asked_for(asked: argparse.Namespace) -> list[Planned]:
    """Return the rows that the command line asks for and that are not known yet."""
    mine = ours(asked.label, asked.code.resolve(), asked.backbones)
    names = set(asked.tools or [tool.name for tool in (*PEERS, mine)])
    tools = [tool for tool in (*PEERS, mine) if tool.name.split()[0] in names or tool.name in names]
    done = known(read(asked.out))
    return [one for one in planned(tools, asked.budgets) if is_asked_for(one[0], asked) and key(one) not in done]


def is_asked_for(cell: Cell, asked: argparse.Namespace) -> bool:
    limits = ((cell.data, asked.sets), (cell.per_class, asked.sizes), (cell.draw, asked.draws))
    return all(allowed is None or value in allowed for value, allowed in limits)


def main() -> None:
    asked = parsed()
    keep_to_cores()
    place = Place(asked.data.resolve(), asked.environments.resolve(), asked.environments / "hub")
    place = replace(place, log=asked.log.resolve()) if asked.log else place
    for cell, budget, tool in asked_for(asked):
        print(f"{cell.name}, {budget} s, {tool.name}", flush=True)
        if asked.list:
            continue
        try:
            row = measure(tool, cell, budget, place)
        except FailedError as error:  # one tool that fails does not cost the others their rows
            print(f"    {error}", flush=True)
            continue
        add(asked.out, row)
        print(f"    accuracy {row['accuracy']:.3f}, log loss {row['log_loss']:.3f}, {row['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
