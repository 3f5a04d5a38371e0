"""Stages side by side: files are decoded ahead of the network and written behind it.

    decode ──(some blocks)──► network ──(a few pieces)──► encode
    a thread                   the caller's thread         a thread

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
_BLOCKS = 32  # that wait for the network: 48 seconds at 44.1 kHz, which is a stride of most, in 17 MB
_PIECES = 3  # that wait to be encoded: one is worked on, one is ready, one is being made


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
    """Calls a function in a thread of its own, in order, a little behind its caller.

    Leaving it waits until all is done; an exception of the function rises there, or at a later call.

    Args:
        function: What is called.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._thread = ThreadPoolExecutor(1, "behind")
        self._running: deque[Future[None]] = deque()

    def __call__(self, *arguments: Any) -> None:
        """Call the function with these, soon."""
        while len(self._running) >= _PIECES:
            self._running.popleft().result()
        self._running.append(self._thread.submit(self._function, *arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for call in self._running:
                call.result()
