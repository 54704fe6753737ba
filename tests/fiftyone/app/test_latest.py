"""One answer for the events of one change, the newest."""

from __future__ import annotations

import threading

from resmem_plugin.fiftyone.app.latest import LatestOnly


def test_a_request_that_is_overtaken_while_it_computes_is_not_answered() -> None:
    answers: LatestOnly[str] = LatestOnly()
    computing, go_on = threading.Event(), threading.Event()
    answered: list[str | None] = []

    def slow() -> str:
        computing.set()
        assert go_on.wait(10)
        return "old"

    first = answers.number("panel")
    thread = threading.Thread(target=lambda: answered.append(answers.answer("panel", first, "old key", slow)))
    thread.start()
    assert computing.wait(10)
    second = answers.number("panel")
    go_on.set()
    assert answers.answer("panel", second, "new key", lambda: "new") == "new"
    thread.join()
    assert answered == [None]


def test_requests_of_one_key_compute_once_and_panels_do_not_overtake_each_other() -> None:
    answers: LatestOnly[str] = LatestOnly()
    computed: list[str] = []

    def compute() -> str:
        computed.append("once")
        return "figures"

    here, there = answers.number("here"), answers.number("there")
    assert answers.answer("here", here, "key", compute) == "figures"
    assert answers.answer("here", answers.number("here"), "key", compute) == "figures"
    assert computed == ["once"]
    assert answers.answer("there", there, "key", compute) == "figures"
    assert computed == ["once", "once"]
