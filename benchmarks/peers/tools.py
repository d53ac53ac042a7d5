"""The tools that are compared: how each is started, and for how long it may learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
BUDGETS = (60, 300)
OURS = "automl-tl"


@dataclass(frozen=True)
class Tool:
    """A program that learns from a table of pictures; see `scripts/contract.py`."""

    name: str
    script: str
    environment: str
    """Its folder among the environments; "" for the Python that runs the benchmark."""
    code: Path | None = None
    """A checkout to import from, before what is installed."""
    least: int = 0
    """Seconds of the smallest budget that it can keep to at all."""
    has_budget: bool = True
    """False for what takes as long as it takes."""
    backbones: tuple[str, ...] = ()
    """What it chooses among, in place of the one that all have."""

    def python(self, environments: Path) -> Path | None:
        """Return the interpreter that runs it, None for the one that runs the benchmark."""
        return environments / self.environment / "bin" / "python" if self.environment else None

    def budgets(self, asked: Iterable[int]) -> list[int]:
        """Return the seconds for which it is measured: those that it can keep to, or [0]."""
        return [seconds for seconds in asked if seconds >= self.least] if self.has_budget else [0]


PEERS = (
    Tool("linear", "linear.py", "timm", has_budget=False),
    Tool("by hand", "by_hand.py", "timm"),
    Tool("by hand middle", "by_hand_middle.py", "timm"),
    Tool("fastai", "with_fastai.py", "fastai"),
    Tool("AutoGluon", "with_autogluon.py", "autogluon", least=300),
)


def ours(label: str, code: Path, backbones: Iterable[str] = ()) -> Tool:
    """Return automl-tl as it is in a checkout, under a name of its own."""
    return Tool(f"{OURS} {label}".strip(), "ours.py", "", code=code, backbones=tuple(backbones))
