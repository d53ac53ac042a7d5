"""One folder of pictures in other forms: what the tests of forms have in common."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path


def members(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its path from there."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def write_zip(archive: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(archive, "w", compression) as file:
        for name, one in content.items():
            file.writestr(name, one)
    return archive


def write_tar(archive: Path, content: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(archive, mode) as file:  # type: ignore[call-overload]
        for name, one in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(one)
            file.addfile(info, io.BytesIO(one))
    return archive
