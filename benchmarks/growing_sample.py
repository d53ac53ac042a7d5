"""What a sample that grows earns: the same search with and without growth, begun on few pictures of a data set.

    python benchmarks/growing_sample.py DATA [--first 300] [--trials 4 | --budget 240] [--backbone NAME] [--frozen]

With --trials both have the same trials, not the same time, and no clock decides; with --budget both have the same time.
What each took is printed beside its test.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from unittest import mock

from automl_tl.searcher.search import search
from automl_tl.strategies import FROZEN


def main() -> None:
    """Print a row of CSV for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--first", type=int, default=300)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--budget", type=float, help="seconds, in place of trials")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--frozen", action="store_true", help="train nothing but heads")
    asked = parser.parse_args()
    print("data,first,growth,chosen_on,test,n_test,seconds,note")
    for name, share in (("stays", float("inf")), ("grows", 0.005)):
        with (
            tempfile.TemporaryDirectory() as out,
            mock.patch("automl_tl.searcher.search.FIRST_PICTURES", asked.first),
            mock.patch("automl_tl.searcher.growth.INDIFFERENCE", share),
        ):
            result = search(
                asked.data, trials=asked.trials if asked.budget else asked.trials or 4, budget=asked.budget,
                out=Path(out) / "run", backbones=[asked.backbone], device="cpu", cache_dir=Path(out) / "cache",
                strategies=FROZEN if asked.frozen else (),
            )  # fmt: skip
        assert result.test is not None, "the data set needs a test part"
        chosen_on = result.assessment.sample.n_training if result.sample is None else result.sample.chosen_on
        note = next((note for note in result.notes if "learning curve" in note), "")
        row = (asked.data.name, asked.first, name, chosen_on, f"{result.test.accuracy:.4f}", result.n_test)
        print(*row, f"{result.seconds:.0f}", f'"{note}"', sep=",", flush=True)


if __name__ == "__main__":
    main()
