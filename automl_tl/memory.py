"""Memory: how much this process holds, how much is free, what says that there is no more, how glibc keeps it."""

from __future__ import annotations

import ctypes
import errno
import sys
from functools import cache
from pathlib import Path

from automl_tl.errors import AutomlTlError, ShortageError
from automl_tl.wording import clean, format_bytes

# The parameters' numbers in glibc's <malloc.h>.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3
M_MMAP_MAX = -4

MMAP_THRESHOLD_BYTES = 1 << 30
TRIM_THRESHOLD_BYTES = (1 << 31) - 1  # the largest that fits mallopt's int
TOP_PAD_BYTES = 256 << 20

_GROUP = Path("/sys/fs/cgroup")
_SHORTAGES = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""In torch's RuntimeErrors: CUDA's, the CPU allocator's on Windows and elsewhere, those of cuDNN and cuBLAS."""


@cache
def tune_malloc() -> bool:
    """Make glibc keep big blocks, and return whether it agreed; call once before the first tensor.

    By default glibc serves big blocks by mmap, or trims the top of its heap, and so gives the memory of
    each activation back to the kernel as soon as the layer is done. The next layer page-faults it in
    again, zeroed: 300,000 to 550,000 faults a batch of 32 pictures, which makes a ConvNet on a CPU two to
    three times slower. With a high mmap threshold, a high trim threshold and a generous top pad there are
    none. The price: freed memory stays with the process.

    Linux with glibc only; elsewhere (musl, macOS, Windows) nothing happens and the result is False.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 (glibc alone has it; others raise AttributeError)
        mallopt = libc.mallopt
    except (OSError, AttributeError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    # Some versions refuse a threshold above 32 MiB; no mmap at all has the same effect.
    no_mmap = mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES) or mallopt(M_MMAP_MAX, 0)
    trim = mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    pad = mallopt(M_TOP_PAD, TOP_PAD_BYTES)
    return bool(no_mmap and trim and pad)


def give_back_freed() -> bool:
    """Give the kernel back what was freed, which `tune_malloc` keeps; return whether there was any.

    The next tensors take a moment longer. glibc's malloc_trim(3); elsewhere nothing happens and the result is False.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0)))
    except (OSError, AttributeError, TypeError):
        return False


def held_memory() -> int | None:
    """Return the bytes that nobody else could have while this process runs; None where that is not known.

    On Linux anonymous memory (RssAnon of proc(5)), without mapped files, which the kernel can drop at any time.
    macOS and other Unixes know no more than the most that was ever resident (getrusage(2), in bytes or in kibibytes);
    Windows has neither.
    """
    try:
        import resource
    except ImportError:
        return None
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8").partition("RssAnon:")[2]
        return 1024 * int(status.split()[0])
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def free_memory() -> int | None:
    """Return the bytes that may still be taken before the kernel ends a process; None where that is not known.

    On Linux MemAvailable of proc(5), or what the control group of a container (cgroup v2) leaves, if that is less.
    """
    known = [one for one in (_of_machine("MemAvailable:"), _left_in_group(_GROUP)) if one is not None]
    return min(known, default=None)


def all_memory() -> int | None:
    """Return the bytes that processes may take together, whoever has them now; None where that is not known.

    On Linux MemTotal of proc(5), or the bound of a container's control group (cgroup v2), if that is less.
    """
    known = [one for one in (_of_machine("MemTotal:"), _bound_of_group(_GROUP)) if one is not None]
    return min(known, default=None)


def check_readable(file: Path, needed: int) -> None:
    """Raise ShortageError where reading a file takes more memory, so many bytes, than is free: before it is read."""
    free = free_memory()
    if free is not None and needed > free:
        raise ShortageError(
            f"reading '{clean(file)}' takes at least {format_bytes(needed)} of memory, but {format_bytes(free)} are "
            "free; end other programs, or put the file away"
        )


def _of_machine(what: str) -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8").partition(what)[2]
        return 1024 * int(text.split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _bound_of_group(group: Path) -> int | None:
    try:
        return int((group / "memory.max").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such group, or "max" for no bound
        return None


def _left_in_group(group: Path) -> int | None:
    """Return what a control group may still take; files that its kernel can drop count as free."""
    try:
        most, used = (int((group / name).read_text(encoding="utf-8")) for name in ("memory.max", "memory.current"))
        facts = (line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
        return most - used + int(dict(facts)["inactive_file"])
    except (OSError, ValueError, KeyError):  # no such group, or "max" for no bound
        return None


def check_memory(most: int | None, more: float = 0.0) -> None:
    """Raise AutomlTlError where this process holds more than `most` bytes, or would if it took `more`."""
    held = (held_memory() or 0) + more
    if most is not None and held > most:
        verb = "would use" if more else "used"
        raise AutomlTlError(f"it {verb} {held / 1e9:.1f} GB of memory, more than the {most / 1e9:.1f} GB allowed")


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that memory did not suffice, here or on a device: no plugin's fault.

    >>> is_shortage(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    >>> is_shortage(RuntimeError("shapes differ")), is_shortage(OSError(errno.ENOMEM, "Cannot allocate memory"))
    (False, True)
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return any(words in str(error).lower() for words in _SHORTAGES)
    return isinstance(error, MemoryError | ShortageError)
