"""Cases one after another, each in a process of its own: so each has its own peak, and may fail alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.bench.measure import Measured, measure
from unbraid.errors import MachineError, UnbraidError
from unbraid.progress import Progress, Stage, check_cancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from unbraid.bench.cases import Case, Subject
    from unbraid.progress import Listener

_LOOK = 0.1  # seconds between two looks at whether the caller has cancelled
_PATIENCE = 5.0  # seconds that a process gets to end when it is told to


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case and what came of it.

    Args:
        case: What ran how.
        result: What it costs, or why that is not known.
    """

    case: Case
    result: Measured | UnbraidError


def run(
    cases: Sequence[Case],
    *,
    most_seconds: float,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Outcome]:
    """Measure cases in their order; one that fails does not stop the others.

    Args:
        cases: Those of one network together, its reference first.
        most_seconds: For segments after the first, in each case.
        listener: Told how far a case is; the stage is `MEASURE`, counted in milliseconds of its time.
        cancel: Stops the measuring.

    Raises:
        Cancelled: If the caller has set its cancel event.
    """
    with tempfile.TemporaryDirectory(prefix="unbraid-bench-") as scratch:
        folders: dict[Subject, Path] = {}
        for case in cases:
            folder = folders.setdefault(case.subject, Path(scratch) / str(len(folders)))
            folder.mkdir(exist_ok=True)
            yield Outcome(case, _apart(case, folder, most_seconds, listener, cancel))


def _apart(
    case: Case,
    folder: Path,
    most_seconds: float,
    listener: Listener | None,
    cancel: threading.Event | None,
) -> Measured | UnbraidError:
    """Measure a case in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(there, case, folder, most_seconds), daemon=True)
    try:
        with _uninterrupted():
            process.start()
        there.close()  # so that its end here shows when the process is gone
        share = 0.0
        while True:
            check_cancelled(cancel, str(case))
            message = _next(here)
            if isinstance(message, (Measured, UnbraidError)):
                return message
            share = share if message is None else message
            if listener:
                gone = most_seconds * share
                total = round(1000 * most_seconds)
                listener(Progress(Stage.MEASURE, str(case), round(1000 * gone), total, gone))
    except EOFError:
        process.join()
        return MachineError(
            f"the process that measured {case} ended with code {process.exitcode}, most likely for lack of "
            "memory; close other programs, or measure a smaller network"
        )
    finally:
        here.close()
        _end(process)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """What is started here is born deaf to Ctrl-C, which would find it before it can say that it is."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started with the first process, it would end what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next(pipe: Connection) -> Measured | UnbraidError | float | None:
    """What the process says next; None if it has said nothing for a moment."""
    if not pipe.poll(_LOOK):
        return None
    message: Measured | UnbraidError | float = pipe.recv()
    return message


def _end(process: BaseProcess) -> None:
    """Make sure that a process is gone."""
    if process.pid is None:  # it was never started
        return
    if process.is_alive():
        process.terminate()
        process.join(_PATIENCE)
    if process.is_alive():
        process.kill()
    process.join()


def _child(pipe: Connection, case: Case, folder: Path, most_seconds: float) -> None:
    """Measure, and send what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it ends this process
    try:
        message: Measured | UnbraidError = measure(
            case, folder, most_seconds=most_seconds, on_progress=pipe.send
        )
    except UnbraidError as error:
        message = error
    except Exception as error:  # noqa: BLE001 - whatever it is, it crosses to the parent as a sentence
        message = UnbraidError(f"{case}: {type(error).__name__}: {error}")
    with contextlib.suppress(BrokenPipeError):  # the parent has gone
        pipe.send(message)
