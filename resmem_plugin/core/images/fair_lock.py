"""A lock that threads get in the order in which they ask for it."""

from __future__ import annotations

import threading


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
        self._changed = threading.Condition()
        self._given = self._current = 0

    def __enter__(self) -> None:
        with self._changed:
            ticket = self._given
            self._given += 1
            try:
                self._changed.wait_for(lambda: self._current == ticket)
            except BaseException:  # an interrupt: the others must not wait for this one
                threading.Thread(target=self._pass_on, args=(ticket,), daemon=True).start()
                raise

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._current += 1
            self._changed.notify_all()

    def _pass_on(self, ticket: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._current == ticket)
        self.__exit__()
