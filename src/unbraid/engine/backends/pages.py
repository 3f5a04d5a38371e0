"""Memory that a layer lets go, kept for the next one.

glibc gives every block of more than 128 kB back to the system when it is freed, and asks for it again: each
layer then waits for the system to clear its pages. While a network is loaded the process may keep them.

This is a setting of the whole process. It is made when the first network asks for it and undone, with all
free memory given back, when the last one is closed.
"""

from __future__ import annotations

import ctypes
import platform
import threading

# From glibc's malloc.h, and what stands there before anybody calls mallopt.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20}
_AS_BEFORE = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 128 * 1024, _TOP_PAD: 0}

_lock = threading.Lock()
_holders = 0


def is_possible() -> bool:
    """Whether this process's memory comes from glibc."""
    return platform.libc_ver()[0] == "glibc"


class KeptPages:
    """The process keeps freed memory as long as one of these is open; without glibc it is nothing."""

    def __init__(self) -> None:
        self._open = is_possible()
        if self._open:
            _change(1)

    def close(self) -> None:
        """Go back to how it was, if no other wants it."""
        if self._open:
            self._open = False
            _change(-1)


def _change(by: int) -> None:
    global _holders  # noqa: PLW0603 - it counts what is one for the whole process, too
    with _lock:
        _holders += by
        libc = ctypes.CDLL(None)
        if by > 0 and _holders == 1:
            _set(libc, _KEEP)
        elif _holders == 0:
            _set(libc, _AS_BEFORE)
            libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        libc.mallopt(parameter, value)
