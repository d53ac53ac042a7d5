"""Pages that are made when the site is built: texts that lie elsewhere, and the help of every command."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from automl_tl.cli import main
from automl_tl.cli.lazy import LazyCommand

ELSEWHERE = {
    "README.md": "index.md",
    "plugins/faces/README.md": "faces.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "SECURITY.md": "security.md",
}
"""Texts outside of docs/, and what they are called on the site."""
WIDTH = 84
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    texts = {target: (root / source).read_text(encoding="utf-8") for source, target in ELSEWHERE.items()}
    for name, text in {**texts, "commands.md": "\n\n".join(_commands())}.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to the page that a text has become; links to code become plain words."""
    sources = {target: source for source, target in ELSEWHERE.items()}
    folder = posixpath.dirname(sources.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def on_site(found: re.Match[str]) -> str:
        mark, words, link, anchor = found.groups()
        target = posixpath.normpath(posixpath.join(folder, link))
        name = ELSEWHERE.get(target, target.removeprefix("docs/"))
        return f"{mark}[{words}]({name}{anchor or ''})" if files.get_file_from_path(name) else words

    return _LINK.sub(on_site, markdown)


def _commands() -> Iterator[str]:
    yield "# Commands"
    for name, command in _every("automl-tl", main):
        settings = {**main.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
        context = click.Context(command, info_name=name, **settings)
        yield f"## {name}\n\n```text\n{command.get_help(context)}\n```"


def _every(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those below it, each imported."""
    real = command.load() if isinstance(command, LazyCommand) else command
    yield name, real
    for below, one in getattr(real, "commands", {}).items():
        yield from _every(f"{name} {below}", one)
