"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from unbraid.errors import MachineError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


class Draft:
    """A hidden file beside `path`, which `place` moves there and `discard` removes with every trace.

    It is handed to encoders as a file to write to. Their libraries do not carry Python's errors through
    (libsndfile prints them, FFmpeg drops some at the end), so the first one is kept, the encoder goes on
    into nothing, and `check` raises it.

    Args:
        path: Where the whole file shall be; missing folders are made.

    Raises:
        MachineError: If nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: list[Path] = []
        self._error: OSError | None = None
        self._origin = self._position = self._end = 0
        # A name of its own, short whatever the stem's is, and opened as the stem would be: with its rights.
        self._draft = path.parent / f".unbraid-{secrets.token_hex(8)}.part"
        try:
            self._make_folders()
            self._file = self._draft.open("w+b")
        except OSError as error:
            self._remove_folders()
            raise self._refusal(error) from error

    def write(self, data: bytes) -> int:
        """Write and say how much, as a file does."""
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as a file does."""
        base = (0, self._position, self._end)[whence]
        self._position = base + offset
        if self._error is None:
            self._file.seek(self._origin + self._position)
        return self._position

    def tell(self) -> int:
        """Where it is, as a file does."""
        return self._position

    def begin(self, lead: bytes) -> None:
        """Write what stands before an encoder's own file, which begins at 0 after it."""
        self.write(lead)
        self._origin, self._position, self._end = len(lead), 0, 0

    def whole(self) -> BinaryIO:
        """The finished file, to be read from its start."""
        self._file.seek(0)
        return self._file

    def check(self) -> None:
        """Raise what went wrong on the disk.

        Raises:
            MachineError: If it is full or gone.
        """
        if self._error is not None:
            raise self._refusal(self._error) from self._error

    def place(self) -> None:
        """Move the whole file to its name, over what may be there.

        Raises:
            MachineError: If the last of it cannot be written.
        """
        self.check()
        try:
            self._file.close()
            self._draft.replace(self._path)
        except OSError as error:
            raise self._refusal(error) from error

    def discard(self) -> None:
        """Remove the draft, and the folders made for it that hold nothing else."""
        self._error = self._error or OSError("discarded")  # an encoder may still write its last words
        with contextlib.suppress(OSError):  # what is in the buffer may not fit on the disk; it is thrown away
            self._file.close()
        self._draft.unlink(missing_ok=True)
        self._remove_folders()

    def _make_folders(self) -> None:
        missing = [
            folder for folder in (self._path.parent, *self._path.parent.parents) if not folder.exists()
        ]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            self._made.append(folder)

    def _remove_folders(self) -> None:
        with contextlib.suppress(OSError):  # somebody else has put something there
            for folder in reversed(self._made):
                folder.rmdir()

    def _refusal(self, error: OSError) -> MachineError:
        return MachineError(
            f"{self._path} cannot be written ({error.strerror or error}); make room, or choose a folder that "
            "this user may write to; nothing of it was left"
        )
