"""The model card of a bundle: a README.md for people, with the metadata header that model hubs read.

It says what is known and says so where nothing is. Names from outside are escaped for Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from automl_tl.backbones.registry import origin
from automl_tl.data.names import printable
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.version import __version__
from automl_tl.wording import plural

LEVEL = 0.9
"""Of every interval on the card."""
MOST_CLASSES = 200
"""On the card; `bundle.json` has all."""
UNKNOWN = "not known"
_PUNCTUATION = re.compile(r"([!-$&(-*./:-@\[-`{-~])")  # all that Markdown lets a backslash disarm, but %'+,-
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SCORES = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "log_loss": "log loss", "ece": "ECE"}


def model_card(model: Model) -> str:
    """Return the card of a model as Markdown, from its members and its `details`, as far as they say anything."""
    sections = {
        f"A classifier of pictures into {len(model.classes):,} classes": _introduction(model),
        "Model": _members(model),
        "Data": _data(model),
        "How good it is": _metrics(model),
        "Limits": _limits(model),
        "Licences": _licences(model),
    }
    (title, introduction), *rest = sections.items()
    parts = [_header(model), f"# {title}", *introduction]
    for name, lines in rest:
        parts += [f"## {name}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def escaped(name: object) -> str:
    r"""Return a name from outside for Markdown: no markup, no HTML, no cell of a table, on one line.

    >>> print(escaped("<b>a|b</b>"))
    \<b\>a\|b\<\/b\>
    """
    return _PUNCTUATION.sub(r"\\\1", printable(str(name)))


def _header(model: Model) -> str:
    """Return the metadata that model hubs read, as YAML."""
    licences = {member.network.weights.licence.lower() for member in model.members}
    only = licences.pop() if len(licences) == 1 else "other"
    known = only if _LICENCE.fullmatch(only) else "unknown" if not only else "other"
    tags = ("image-classification", "transfer-learning")
    lines = ["library_name: automl-tl", "pipeline_tag: image-classification", f"license: {known}", "tags:"]
    return "\n".join(["---", *lines, *(f"- {tag}" for tag in tags), "---"])


def _introduction(model: Model) -> list[str]:
    return [
        f"Made by automl-tl {__version__}. In this folder, with automl-tl and the plugin of its backbone installed:",
        "```\nautoml-tl predict . PICTURES\nautoml-tl export . --format onnx --output ../model.onnx\n```",
    ]


def _members(model: Model) -> Iterator[str]:
    strategies = [_text(one, "strategy") for one in _list(_inside(model.details, "configuration", "members"))]
    yield from _table("backbone", "strategy", "reads", "pooling", "head", "share")
    for number, member in enumerate(model.members):
        strategy = strategies[number] if len(strategies) == len(model.members) else UNKNOWN
        word = "stages" if len(member.cuts) > 1 else "stage"
        reads = f"{word} {'+'.join(map(str, member.cuts))} of {member.network.n_stages}"
        names = (member.network.name, strategy, reads, member.pooling, member.kind, f"{member.weight:.0%}")
        yield _row(escaped(name) for name in names)
    how = model.members[0].preprocessing
    yield f"\nPictures are made square of {how.size} pixels by {how.fit} ({how.interpolation})."


def _data(model: Model) -> Iterator[str]:
    data, counts = _inside(model.details, "data"), _inside(model.details, "data", "per_class")
    n = _inside(data, "n_training")
    pictures = plural(n, "training picture") if isinstance(n, int) else "An unknown number of training pictures"
    yield f"{pictures} in {len(model.classes):,} classes. Fingerprint: {escaped(_text(data, 'fingerprint'))}.\n"
    shown = model.classes[:MOST_CLASSES]
    if isinstance(counts, Mapping):
        yield from _table("class", "training pictures")
        yield from (_row([escaped(label), escaped(_text(counts, label))]) for label in shown)
    else:
        yield f"Classes: {', '.join(map(escaped, shown))}."
    if len(model.classes) > MOST_CLASSES:
        yield f"\nThe other {len(model.classes) - MOST_CLASSES:,} classes are in `bundle.json`."


def _metrics(model: Model) -> Iterator[str]:
    validation, test = (_inside(model.details, "metrics", name) for name in ("validation", "test"))
    said = [*_expected(validation), *_tested(test)]
    if _inside(model.details, "data", "learned_from_test") is True:
        said += _of_another(_inside(model.details, "metrics", "of", "n_training"))
    yield from said or ["Not measured."]


def _of_another(n_training: Any) -> Iterator[str]:
    """Say of which model the figures are, where this one has learned from the test pictures after the test."""
    before = f", from {plural(n_training, 'picture')}" if isinstance(n_training, int) else ""
    yield (
        f"- These figures are of the model as it was tested{before}. After that test this model has learned from the "
        "test pictures as well."
    )


def _expected(validation: Any) -> Iterator[str]:
    accuracy, interval = _inside(validation, "accuracy"), _list(_inside(validation, "interval"))
    if isinstance(accuracy, float) and len(interval) == 2:
        low, high = interval
        yield (
            f"- Expected accuracy {accuracy:.1%} ({LEVEL:.0%} interval {low:.1%} to {high:.1%}): estimated on training "
            "pictures by cross-validation, corrected for having chosen the best candidate."
        )
    elif isinstance(accuracy, float) and isinstance(n := _inside(validation, "n"), int):
        yield (
            f"- Accuracy {accuracy:.1%} on {plural(n, 'training picture')} that it had not learned from, before it "
            "learned from all of them."
        )


def _tested(test: Any) -> Iterator[str]:
    from scipy.stats import binomtest  # slow to import, and reading a bundle needs none of it

    accuracy, n = _inside(test, "accuracy"), _inside(test, "n")
    if isinstance(accuracy, float) and isinstance(n, int) and n > 0:
        low, high = binomtest(round(accuracy * n), n).proportion_ci(LEVEL, method="wilson")
        yield (
            f"- Accuracy {accuracy:.1%} ({LEVEL:.0%} interval {low:.1%} to {high:.1%}) on {plural(n, 'test picture')} "
            "that no decision has seen."
        )
        scores = ((words, _inside(test, name)) for name, words in _SCORES.items())
        yield "- On these: " + ", ".join(f"{words} {v:.3f}" for words, v in scores if isinstance(v, float)) + "."


def _limits(model: Model) -> Iterator[str]:
    yield "- It answers with one of its classes whatever a picture shows."
    if model.novelty is not None:
        yield "- `automl-tl predict` says which pictures are unlike the training pictures; an exported model does not."
    yield "- The figures hold for pictures that come about as the training pictures did; test it on your own."
    yield "- It was not examined for fairness, nor for decisions about people."


def _licences(model: Model) -> Iterator[str]:
    for member in {member.network.name: member for member in model.members}.values():
        yield f"- Backbone {_licence(member)}"
    yield "- The training pictures: not known to automl-tl. Whoever passes the model on must know it."


def _licence(member: Member) -> str:
    plugin, network = origin(member.network.name), member.network
    source = f" of {escaped(plugin)}" if plugin else ""
    licence = escaped(network.weights.licence or UNKNOWN)
    return f"{escaped(network.name)}{source}, pretrained on {escaped(network.backbone.pretrained_on)}: {licence}"


def _table(*names: str) -> list[str]:
    return [_row(names), _row("---" for _ in names)]


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _inside(values: Any, *keys: str) -> Any:
    """Return what lies under `keys` in nested mappings, or None: details are whatever their maker kept."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _list(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else ()


def _text(values: Any, key: str) -> str:
    found = _inside(values, key)
    return UNKNOWN if found is None else str(found)
