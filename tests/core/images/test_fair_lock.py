"""The lock that is first come, first served."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from resmem_plugin.core.images.fair_lock import FairLock


def test_threads_get_it_one_at_a_time_in_the_order_in_which_they_ask() -> None:
    lock, order = FairLock(), []

    def use(number: int) -> None:
        with lock:
            order.append(number)

    with lock:
        threads = [threading.Thread(target=use, args=(number,)) for number in range(20)]
        for number, thread in enumerate(threads):
            thread.start()
            while len(lock._waiting) <= number:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == list(range(20))


def test_one_that_is_interrupted_does_not_hold_up_the_others() -> None:
    lock, order = FairLock(), []
    taken, released = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            released.wait(10)

    def use() -> None:
        with lock:
            order.append("waiting")

    holding, waiting = threading.Thread(target=hold), threading.Thread(target=use)
    holding.start()
    taken.wait(10)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt), lock:
            order.append("interrupted")
    finally:
        signal.signal(signal.SIGALRM, before)
    waiting.start()
    released.set()
    waiting.join(10)
    holding.join(10)
    assert order == ["waiting"]
