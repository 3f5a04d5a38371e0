"""Stages side by side: files are decoded ahead of the network and written behind it.

    decode ──(a few blocks)──► network ──(a piece)──► encode
    a thread                   the caller's thread    a thread

What waits between two stages is bounded, so memory stays flat and a slow stage holds the others up. The order
of everything is as if there were one thread, and so is the answer.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Self

T = TypeVar("T")
_BLOCKS = 3  # that wait for the network: one is worked on, one is ready, one is being made


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, made in a thread of their own a little before they are asked for.

    An exception comes out where its item would have.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    iterator = iter(items)
    end: Any = object()
    with ThreadPoolExecutor(1, "ahead") as thread:  # leaving it waits for what is being made
        coming = deque(thread.submit(next, iterator, end) for _ in range(_BLOCKS))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, iterator, end))
            yield item


class Behind:
    """Calls a function in a thread of its own, in order, one call behind its caller.

    Leaving it waits until all is done; an exception of the function rises there, or at a later call.

    Args:
        function: What is called.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._thread = ThreadPoolExecutor(1, "behind")
        self._running: Future[None] | None = None

    def __call__(self, *arguments: Any) -> None:
        """Call the function with these, as soon as the call before is done."""
        self._wait()
        self._running = self._thread.submit(self._function, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self._wait()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()
