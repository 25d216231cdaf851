"""From C to a loaded library: the machine's compiler, asked once, and a cache that keeps its answers.

Nothing is compiled when the package is installed and nothing has to be: without a compiler another lift runs.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from steepest.core.rule import Unprintable


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


def cache_dir() -> Path:
    """Where compiled loops are kept: $STEEPEST_CACHE, or the user's cache folder, or a private temporary folder."""
    base = os.environ.get("STEEPEST_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "steepest"
    )
    try:
        Path(base).mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(base, os.W_OK) and os.stat(base).st_uid == os.getuid():
            return Path(base)
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="steepest-"))


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
def build(source: str) -> ctypes.CDLL:
    """Compile and load, or load from the cache.

    Raises:
        Unprintable: there is no compiler, it failed, or what it made cannot be loaded.
    """
    command = compiler()
    key = hashlib.sha256("\0".join([source, *command, _machine()]).encode()).hexdigest()[:32]
    target = cache_dir() / f"{key}.so"
    with _lock:
        if not _whole(target):
            _compile(command, source, target)
    try:
        return ctypes.CDLL(str(target))
    except OSError as error:
        target.unlink(missing_ok=True)  # whatever spoilt it, the next process starts anew
        raise Unprintable(f"the compiled loop could not be loaded: {error}") from error


def _whole(target: Path) -> bool:
    """Whether a cached library is there as it was written: loading a cut one would end the process."""
    try:
        content = target.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def _compile(command: list[str], source: str, target: Path) -> None:
    """Compile into a file of one's own, seal it with its digest (a loader ignores what follows), and rename it."""
    handle, part = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        made = subprocess.run([*command, "-o", part], input=source, capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unprintable(f"the C compiler failed: {made.stderr.strip()[:500]}")
        with open(part, "r+b") as file:
            digest = hashlib.sha256(file.read()).digest()
            file.write(digest)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise Unprintable(f"the C compiler could not be run: {error}") from error
    finally:
        Path(part).unlink(missing_ok=True)
