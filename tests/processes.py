"""What Linux says of processes: which are below another one, and where they listen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LISTENS = "0A"
"""A state of a socket in proc(5)'s tables of TCP."""


def below(parent: int) -> Iterator[tuple[int, str]]:
    """Yield (id, title) of every process below `parent`, its children's included."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (OSError, ValueError):
            continue
        if above == parent:
            yield int(folder.name), title
            yield from below(int(folder.name))


def listening(parent: int) -> set[str]:
    """Return the addresses, as proc(5) writes them, at which `parent` and what is below it wait for others."""
    own = {inode for process in (parent, *(number for number, _ in below(parent))) for inode in _sockets(process)}
    tables = (Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6"))
    lines = [line.split() for table in tables for line in table]
    return {one[1].partition(":")[0] for one in lines if one[3] == _LISTENS and one[9] in own}


def _sockets(process: int) -> Iterator[str]:
    """Yield the inodes of a process's sockets."""
    try:
        links = [os.readlink(one) for one in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:  # it has ended
        return
    yield from (link[len("socket:[") : -1] for link in links if link.startswith("socket:["))
