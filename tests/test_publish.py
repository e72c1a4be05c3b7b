"""A folder of generated files: whole files at any moment, ours replaced and removed, others left alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ml_exporter import publish
from ml_exporter.errors import RenderError


def test_a_file_that_is_not_generated_any_more_is_removed_and_others_stay(tmp_path: Path) -> None:
    publish.publish({"rules/a.yml": b"a", "rules/b.yml": b"b"}, tmp_path)
    (tmp_path / "rules" / "mine.yml").write_text("by hand")
    publish.publish({"rules/a.yml": b"A"}, tmp_path)
    assert sorted(path.name for path in (tmp_path / "rules").iterdir()) == ["a.yml", "mine.yml"]
    assert (tmp_path / "rules" / "a.yml").read_bytes() == b"A"


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    (path,) = publish.publish({"a.yml": b"a"}, tmp_path)
    before = path.stat()
    publish.publish({"a.yml": b"a"}, tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_somebody_else_wrote_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("by hand")
    with pytest.raises(RenderError, match=r"a\.yml: exists and was not written by ml-exporter"):
        publish.publish({"a.yml": b"a"}, tmp_path)
    assert (tmp_path / "a.yml").read_text() == "by hand"


@pytest.mark.parametrize("crash_at", range(1, 12))
def test_a_crash_leaves_whole_files_and_the_next_call_mends_the_folder(
    crash_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"a.yml": b"old a" * 1000, "b.yml": b"old b", "gone.yml": b"old"}
    new = {"a.yml": b"new a" * 1000, "b.yml": b"new b", "c.yml": b"new c"}
    publish.publish(old, tmp_path)
    _crash_at_call(crash_at, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        publish.publish(new, tmp_path)
    monkeypatch.undo()
    for name in ("a.yml", "b.yml"):
        assert (tmp_path / name).read_bytes() in (old[name], new[name])
    assert not (tmp_path / "c.yml").exists() or (tmp_path / "c.yml").read_bytes() == new["c.yml"]

    publish.publish(new, tmp_path)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != publish.MANIFEST}
    assert found == new


def _crash_at_call(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the n-th of the eleven calls that write, replace or remove."""
    calls = 0

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))


def test_a_staging_folder_that_a_killed_call_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".ml-exporter-staging-dead").mkdir()
    publish.publish({"a.yml": b"a"}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [publish.MANIFEST, "a.yml"]
