"""From C to a loaded library: the machine's compiler, and a cache of what it made.

Nothing is compiled when the package is installed and nothing has to be: without a compiler another lift runs.

A library runs in this process as soon as it is loaded, so the cache is loaded only where no other user can have written:
its folder and each file in it belong to this user and are writable by this user alone.  Otherwise the library is built
in a private temporary folder that is removed once it is loaded, and a warning says so once.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path

from steepest.engine.trace import Unprintable


@functools.cache
def compiler() -> list[str]:
    """The command that turns C into a shared object, without the input and the output.

    Raises:
        Unprintable: no C compiler on this machine.
    """
    cc = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if cc is None or shutil.which(cc.split()[0]) is None:
        raise Unprintable("no C compiler found (looked for $CC, cc, gcc, clang)")
    return [*cc.split(), "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
            "-fopenmp", "-shared", "-fPIC", "-x", "c", "-", "-lm"]  # fmt: skip


_warned: set[str] = set()


def cache_dir() -> Path | None:
    """Where compiled loops are kept: ``$STEEPEST_CACHE``, else ``steepest`` in the user's cache folder.

    Returns:
        An absolute path that only this user can write to, or None, after one warning, where there is none.
    """
    chosen = os.environ.get("STEEPEST_CACHE")
    # by hand and not by platformdirs: the library needs torch and numpy only
    above = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    base = Path(os.path.realpath(chosen or os.path.join(above, "steepest")))
    if not chosen and not os.path.isabs(above):  # no HOME; the XDG standard ignores relative folders, too
        reason = "the user's home folder is not known"
    else:
        try:
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            reason = _open_to_others(base)
            if not reason and not os.access(base, os.W_OK | os.X_OK):
                reason = "it cannot be written"
        except OSError as error:
            reason = error.strerror or str(error)
    if reason and str(base) not in _warned:
        _warned.add(str(base))
        warnings.warn(f"compiled loops are not kept, each process compiles its own ({base}: {reason}): set "
                      "STEEPEST_CACHE to a folder that only you can write to", stacklevel=2)  # fmt: skip
    return None if reason else base


def _open_to_others(path: Path) -> str:
    """Why a folder or file may hold what another user put there; nothing if it cannot."""
    if not hasattr(os, "getuid"):  # Windows: folders of a profile are its user's
        return ""
    for place in (path, *path.parents):
        found = place.stat()
        others, sticky = found.st_mode & 0o022, found.st_mode & stat.S_ISVTX
        if place == path and (others or found.st_uid != os.getuid()):
            return f"it must belong to this user and be writable by this user alone (mode {found.st_mode & 0o777:o})"
        if found.st_mode & 0o002 and not sticky:
            return f"other users may rename what is in {place}"
    return ""


@functools.cache
def _machine() -> str:
    """What a binary made for 'this machine' depends on."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        flags = platform.processor()
    return f"{platform.platform()} {platform.machine()} {flags}"


_lock = threading.Lock()


@functools.cache
def build(source: str, names: tuple[str, ...]) -> ctypes.CDLL:
    """Compile and load, or load from the cache.

    Args:
        source: C.
        names: the functions that it defines.

    Raises:
        Unprintable: there is no compiler, it failed, or what it made cannot be loaded.
    """
    command = compiler()
    key = hashlib.sha256("\0".join([source, *command, _machine()]).encode()).hexdigest()[:32]
    folder = cache_dir()
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="steepest-") as private:  # a loaded library outlives its file
            target = Path(private) / f"{key}.so"
            _compile(command, source, target)
            return _load(target, names)
    target = folder / f"{key}.so"
    with _lock:
        if not _whole(target):
            _compile(command, source, target)
    return _load(target, names)


def _load(target: Path, names: Iterable[str]) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(target))
        for name in names:
            getattr(library, name)
    except (OSError, AttributeError) as error:
        target.unlink(missing_ok=True)  # whatever is wrong with it, the next process compiles anew
        raise Unprintable(f"the compiled loop could not be loaded: {error}") from error
    return library


def _whole(target: Path) -> bool:
    """Whether a cached library is there as this user wrote it: loading a cut one would end the process."""
    try:
        if _open_to_others(target):
            return False
        content = target.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def _compile(command: list[str], source: str, target: Path) -> None:
    """Compile into a file of one's own, seal it with its digest (a loader ignores what follows), and rename it."""
    part = ""
    try:
        handle, part = tempfile.mkstemp(dir=target.parent, suffix=".part")
        os.close(handle)
        made = subprocess.run([*command, "-o", part], input=source.encode(), capture_output=True, check=False)
        if made.returncode:
            said = made.stderr.decode(errors="replace").strip()[:500]
            raise Unprintable(f"the C compiler failed: {said}")
        os.chmod(part, 0o700)  # the linker goes by the umask
        with open(part, "r+b") as file:
            digest = hashlib.sha256(file.read()).digest()
            file.write(digest)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise Unprintable(f"the C compiler could not be run: {error}") from error
    finally:
        if part:
            Path(part).unlink(missing_ok=True)
