"""Rendering: literal text, no control codes without a terminal, progress on standard error."""

from __future__ import annotations

import io
import json
import sys

import pytest

from automl_tl.cli import render
from automl_tl.wording import clean, one_line, plural


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_text_is_printed_literally(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_result("[bold]cats[/bold] :smile: 42", render.literal("a\x1b[2Jb"))
    assert capsys.readouterr().out == "[bold]cats[/bold] :smile: 42\na\\x1b[2Jb\n"


def test_no_codes_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    render.print_result(render.literal("x" * 99, style="bold red"))
    assert capsys.readouterr().out == "x" * 99 + "\n"


def test_colours_on_a_terminal_unless_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for no_color, coloured in ((None, True), ("1", False)):
        if no_color:
            monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys, "stdout", Terminal())
        render.print_result(render.literal("x", style="red"))
        assert ("\x1b[31m" in sys.stdout.getvalue()) is coloured  # type: ignore[attr-defined]


def test_an_ascii_stream_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    render.print_result(render.literal("café " + render.bar(1.0, 2)))
    assert raw.getvalue() == b"caf\\xe9 \\u2588\\u2588\n"


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_json({"path": "größe", "n": 1.5, "none": None})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"path": "größe", "n": 1.5, "none": None}
    assert err == ""
    with pytest.raises(ValueError, match="JSON"):
        render.print_json({"x": float("nan")})


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, ""), (1.0, "████"), (0.5, "██"), (2.0, "████"), (-1.0, ""), (1 / 32, "▏"), (0.53125, "██▏")],
)
def test_bar(share: float, expected: str) -> None:
    assert render.bar(share, width=4) == expected


def test_progress_without_a_terminal_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress("Reading [pictures]") as update:
        for done in range(1, 1501):
            update(done, 1500)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Reading [pictures] (1,500)\n")


def test_progress_for_nothing_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress("Reading pictures") as update:
        update(0, 0)
        update(7, 7)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_a_bar_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with render.progress("Reading") as update:
        update(1, 2)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "Reading" in shown
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb", r"a\tb"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("naïve 猫", "naïve 猫"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("\x00", r"\x00"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_one_line() -> None:
    assert one_line("a\n   b\tc") == "a b c"


def test_plural() -> None:
    assert plural(1, "picture") == "1 picture"
    assert plural(1234, "picture") == "1,234 pictures"
    assert plural(2, "class", "classes") == "2 classes"
