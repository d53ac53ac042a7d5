"""One folder of pictures in other forms: what the tests of forms have in common."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow
from pyarrow import parquet


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


def write_parquet(table: Path, content: dict[str, bytes], *, group_rows: int = 100, **columns: list[object]) -> Path:
    """Write pictures as Hugging Face does: their classes, the folders that they are in, are numbered."""
    labels = [Path(name).parent.name for name in content]
    names = sorted(set(labels))
    cells = [{"bytes": one, "path": Path(name).name} for name, one in content.items()]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    arrays = {"image": pyarrow.array(cells, kind), "label": [names.index(label) for label in labels], **columns}
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(metadata), table, row_group_size=group_rows)
    return table


def samples(content: dict[str, bytes], start: int = 0) -> dict[str, bytes]:
    """Return pictures as WebDataset has them: a key for each, with its class in a file beside it."""
    found = {}
    for number, (name, one) in enumerate(content.items(), start):
        found[f"{number:06d}{Path(name).suffix}"] = one
        found[f"{number:06d}.cls"] = Path(name).parent.name.encode()
    return found
