"""One process at a time: a file lock that the system lets go of when its holder dies."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import IO, TYPE_CHECKING

from unbraid.progress import check_cancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.1

if sys.platform == "win32":
    import msvcrt

    def _take(handle: IO[bytes]) -> None:
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(path: Path, cancel: threading.Event | None = None) -> Iterator[None]:
    """Hold the lock named by a file, waiting for whoever holds it now.

    Args:
        path: The lock's file; it is made, and stays.
        cancel: Stops the wait.

    Raises:
        Cancelled: If `cancel` is set while waiting.
    """
    with path.open("ab") as handle:
        while not _taken(handle):
            check_cancelled(cancel, path.name)
            time.sleep(_POLL_SECONDS)
        yield  # closing the file lets go


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock if nobody else does; says whether it is held."""
    with path.open("ab") as handle:
        yield _taken(handle)


def _taken(handle: IO[bytes]) -> bool:
    """Whether the lock is ours now.

    A file system without locks counts as taken: what is fetched is verified before it is put in
    place, so a race there costs a download and never a wrong file.
    """
    try:
        _take(handle)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
