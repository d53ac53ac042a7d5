"""The page itself, in the look of the reports."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from automl_tl.model.model import Model
from automl_tl.wording import clean, plural

POLICY = (
    "default-src 'none'; connect-src 'self'; img-src data:; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing but this page's own script and style, which carry `nonce`."""


def render(model: Model, most_bytes: int, nonce: str) -> str:
    """Return the page as HTML, every text escaped.

    Args:
        model: that is tried.
        most_bytes: of a picture's file.
        nonce: of this answer of the server, as in `POLICY`.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("automl_tl.tryout"), PackageLoader("automl_tl.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    backbones = dict.fromkeys(clean(member.network.name) for member in model.members)
    about = f"{plural(len(model.classes), 'class', 'classes')}, {' and '.join(backbones)}"
    template = environment.get_template("try.html")
    return template.render(about=about, most_bytes=most_bytes, nonce=nonce)
