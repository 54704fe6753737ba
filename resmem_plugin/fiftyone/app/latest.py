"""One answer for several events of one change, and none for an event that a newer one has overtaken."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_PANELS = 64
"""Whose last results are kept, in one process."""


@dataclass
class _Slot(Generic[T]):
    """What is known about one panel: the number of its newest request, and the last result with its key."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    newest: int = 0
    last: tuple[Hashable, T] | None = None


class LatestOnly(Generic[T]):
    """Answers the newest request of each panel, and computes once for requests of the same key.

    Examples:
        >>> from resmem_plugin.fiftyone.app.latest import LatestOnly
        >>> answers = LatestOnly()
        >>> first, second = answers.number("panel"), answers.number("panel")
        >>> answers.answer("panel", second, "a key", lambda: "figures")
        'figures'
        >>> answers.answer("panel", first, "a key", lambda: "older figures") is None
        True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot[T]] = OrderedDict()

    def number(self, panel: str) -> int:
        """Take the number of a request, when it arrives."""
        slot = self._slot(panel)
        with self._lock:
            slot.newest += 1
            return slot.newest

    def answer(self, panel: str, number: int, key: Hashable, compute: Callable[[], T]) -> T | None:
        """The result for a key: the last one of this panel if it has this key, otherwise computed.

        Returns:
            The result; None if a newer request has arrived, which is answered instead.
        """
        slot = self._slot(panel)
        with slot.lock:
            if number < slot.newest:
                return None
            if slot.last is None or slot.last[0] != key:
                slot.last = (key, compute())
            return slot.last[1] if number == slot.newest else None

    def _slot(self, panel: str) -> _Slot[T]:
        with self._lock:
            slot = self._slots.setdefault(panel, _Slot())
            self._slots.move_to_end(panel)
            if len(self._slots) > MAX_PANELS:
                self._slots.popitem(last=False)
            return slot
