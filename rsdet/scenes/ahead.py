"""Reading ahead: an iterator that is run in a thread of its own, a little ahead of who reads it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """The same items in the same order.

    Args:
        items: What is read in the thread; an error in there is raised here.
        depth: Items that are held at most.

    Yields:
        The items. Closing the generator ends the thread.
    """
    held: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                held.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as e:
            put((_END, e))

    thread = threading.Thread(target=read, name="rsdet-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = held.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()
