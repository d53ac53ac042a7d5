"""What a command imports, and what that takes: a table by distribution, the slowest first.

    python benchmarks/imports.py --help
    python benchmarks/imports.py recommend datasets_meta/demo --no-try-training

Milliseconds are those of `python -X importtime`, of modules alone, without what they import.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

MOST = 20


def imports_of(words: list[str]) -> list[tuple[str, int]]:
    """Return (module, microseconds of its own) of everything that `automl-tl WORDS` imports."""
    command = [sys.executable, "-X", "importtime", "-m", "automl_tl", *words]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    lines = [line.removeprefix("import time:").split("|") for line in printed.splitlines() if "|" in line]
    return [(name.strip(), int(own)) for own, _, name in lines if own.strip().isdigit()]


def main() -> None:
    """Print the table."""
    found = imports_of(sys.argv[1:] or ["--help"])
    seconds, count = Counter[str](), Counter[str]()
    for name, own in found:
        top = name.partition(".")[0]
        seconds[top] += own
        count[top] += 1
    print(f"{'':24}{'modules':>8}{'ms':>10}")
    for top, own in [*seconds.most_common(MOST), ("all", seconds.total())]:
        print(f"{top:24}{count[top] or len(found):8}{own / 1000:10.1f}")


if __name__ == "__main__":
    main()
