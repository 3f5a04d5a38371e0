"""Many small computations side by side, on as many threads as torch has.

Operations on some thousand numbers gain nothing from being split among threads, and where other programs
keep the processor busy they lose most of their time waiting for each other. So each thread here works on
its own item, alone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def spread(function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """What a function makes of each item, in the items' order.

    Args:
        function: Called in a thread in which torch uses no further ones.
        items: One call each.

    Returns:
        One answer an item.

    >>> spread(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)  # the workers' number is the default of threads that others start
