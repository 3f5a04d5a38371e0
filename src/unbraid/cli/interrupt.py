"""Ctrl-C: the work stops at once, and nothing half-written stays."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C (or a polite kill) sets while it raises KeyboardInterrupt.

    Both, because an exception that rises inside a decoder's callback is swallowed there: then the event
    stops the work at its next step, and nobody needs to be told of the exception. Further signals are
    ignored, so that nothing disturbs the tidying up.
    """
    cancel = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not cancel.is_set():
            cancel.set()
            raise KeyboardInterrupt

    def report(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            reported(unraisable)

    # SIGHUP, where there is one: the terminal was closed.
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in numbers}
    reported, sys.unraisablehook = sys.unraisablehook, report
    try:
        yield cancel
    finally:
        sys.unraisablehook = reported
        for number, handler in before.items():
            signal.signal(number, handler)
