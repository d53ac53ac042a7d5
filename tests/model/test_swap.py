"""A folder that is replaced as a whole, whatever comes in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_tl.model.swap import replacing


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_ends_it_between_the_two_renames_leaves_the_old_folder(
    tmp_path: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "bundle").mkdir()
    (folder / "old").touch()
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if ".tmp-" in self.name:
            raise error
        return real(self, target)

    def replace() -> None:
        with replacing(folder) as new:
            (new / "new").touch()

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(error):
        replace()
    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*")] == [Path("bundle"), Path("bundle/old")]
