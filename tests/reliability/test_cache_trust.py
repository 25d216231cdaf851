"""The cache of compiled loops runs what it holds: nothing is loaded that another user could have put there.

A place that cannot be used costs a warning and a compilation, never a crash, and leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from steepest.engine import build
from steepest.engine.trace import Unprintable

pytestmark = pytest.mark.skipif(
    not hasattr(os, "getuid") or shutil.which(os.environ.get("CC", "cc").split()[0]) is None, reason="no C compiler"
)
SOURCE = "int answer(void) { return 42; }"
PLANTED = "int answer(void) { return 666; }"


@pytest.fixture(autouse=True)
def _told_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(build, "_warned", set())
    build.compiler.cache_clear()
    yield
    build.compiler.cache_clear()


def made(folder: Path | str, monkeypatch: pytest.MonkeyPatch) -> ctypes.CDLL:
    """The library of SOURCE, with this folder as the cache."""
    monkeypatch.setenv("STEEPEST_CACHE", str(folder))
    return build.build.__wrapped__(SOURCE, ("answer",))


def plant(target: Path, tmp_path: Path) -> None:
    """Put other code, with its right seal, in the place of a compiled loop."""
    library = tmp_path / "planted.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=PLANTED.encode(), check=True)
    code = library.read_bytes()
    target.unlink()
    target.write_bytes(code + hashlib.sha256(code).digest())


def open_folder(folder: Path, target: Path) -> None:
    folder.chmod(0o777)


def sticky_folder(folder: Path, target: Path) -> None:
    folder.chmod(0o1777)


def group_folder(folder: Path, target: Path) -> None:
    folder.chmod(0o770)


def open_file(folder: Path, target: Path) -> None:
    target.chmod(0o666)


def foreign_file(folder: Path, target: Path) -> None:
    os.chown(target, 65534, 65534)


def open_parent(folder: Path, target: Path) -> None:
    folder.parent.chmod(0o777)


@pytest.mark.parametrize("spoil", [open_folder, sticky_folder, group_folder, open_file, foreign_file, open_parent])
def test_what_another_user_could_have_written_is_not_loaded(
    spoil: Callable[[Path, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spoil is foreign_file and os.getuid() != 0:
        pytest.skip("only root can give files away")
    folder = tmp_path / "private" / "cache"
    assert made(folder, monkeypatch).answer() == 42
    (target,) = folder.glob("*.so")
    assert target.stat().st_mode & 0o077 == 0
    plant(target, tmp_path)
    spoil(folder, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert made(folder, monkeypatch).answer() == 42


def test_a_place_that_is_not_used_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, folder = tmp_path / "tmp", tmp_path / "cache"
    temporary.mkdir()
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.warns(UserWarning, match="set STEEPEST_CACHE") as said:
        assert made(folder, monkeypatch).answer() == 42
    assert made(folder, monkeypatch).answer() == 42  # a warning would be an error here
    assert len(said) == 1
    assert str(folder) in str(said[0].message)
    assert not list(temporary.iterdir()), "litter in the temporary folder"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not kept"):
        assert made(tmp_path / "file", monkeypatch).answer() == 42


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    assert made(".", monkeypatch).answer() == 42
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]


def test_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STEEPEST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user without a name
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="home folder is not known"):
        assert build.cache_dir() is None
    assert not list(tmp_path.iterdir())


COMPILERS = {
    "a message that is not UTF-8": "printf '\\377' >&2; exit 1",
    "no library": "exit 0",
    "a library without the function": 'while [ "$1" != "-o" ]; do shift; done; echo | cc -shared -x c - -o "$2"',
}


@pytest.mark.parametrize("what", COMPILERS)
def test_an_odd_compiler_is_no_compiler(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd").write_text(f"#!/bin/sh\n{COMPILERS[what]}\n")
    (tmp_path / "odd").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "odd"))
    with pytest.raises(Unprintable):
        made(tmp_path / "cache", monkeypatch)
    assert not list((tmp_path / "cache").iterdir()), "litter in the cache"
