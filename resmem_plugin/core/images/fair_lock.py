"""A lock that threads get in the order in which they ask for it."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """As `threading.Lock` in a `with` statement, but first come, first served: no thread falls far behind the others.

    Examples:
        >>> from resmem_plugin.core.images.fair_lock import FairLock
        >>> lock = FairLock()
        >>> with lock:
        ...     print("alone")
        alone
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()  # released when it is this thread's turn
        except BaseException:  # an interrupt: the others must not wait for this one
            with self._mutex:
                is_waiting = turn in self._waiting
                if is_waiting:
                    self._waiting.remove(turn)
            if not is_waiting:
                self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False
