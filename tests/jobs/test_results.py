"""`Results`: the rows that have a score, an error or neither, and the rows to score after a run that was stopped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from resmem_plugin.jobs.results import Results


def test_empty_results() -> None:
    results = Results.empty(3)
    assert results.memorability.dtype == np.float32
    assert np.isnan(results.memorability).all()
    assert (results.scored, results.done, results.not_reached) == (0, 0, [0, 1, 2])


@pytest.mark.parametrize("retry_failed", [False, True])
def test_results_of_no_rows(retry_failed: bool) -> None:
    results = Results.empty(0)
    assert (results.scored, results.done, results.not_reached) == (0, 0, [])
    assert results.to_score(4, retry_failed=retry_failed) == []


def test_add_scores_and_errors() -> None:
    results = Results.empty(4)
    results.add(0, 0.5, None)
    results.add(2, None, "no such file")
    results.add(3, math.nan, "not an image")
    assert results.memorability[0] == 0.5
    assert results.errors == {2: "no such file", 3: "not an image"}
    assert (results.scored, results.done) == (1, 3)


def test_add_replaces_an_earlier_result() -> None:
    results = Results.empty(2)
    results.add(0, None, "no such file")
    results.add(0, 0.25, None)
    assert results.memorability[0] == 0.25
    assert results.errors == {}
    results.add(0, None, "not an image")
    assert math.isnan(results.memorability[0])
    assert results.errors == {0: "not an image"}
    assert (results.scored, results.done) == (0, 1)


def test_score_of_0_is_a_score() -> None:
    results = Results.empty(1)
    results.add(0, 0.0, None)
    assert (results.scored, results.not_reached) == (1, [])


def test_not_reached_rows_are_in_order() -> None:
    results = Results.empty(5)
    results.add(3, 0.5, None)
    results.add(1, None, "no such file")
    assert results.not_reached == [0, 2, 4]


def filled(count: int, done: int, failed: tuple[int, ...]) -> Results:
    """Results of `count` rows, of which the first `done` have a score, or an error if they are in `failed`."""
    results = Results.empty(count)
    for row in range(done):
        results.add(row, None if row in failed else 0.5, "not an image" if row in failed else None)
    return results


@pytest.mark.parametrize(
    ("done", "failed", "retry_failed", "rows"),
    [
        (0, (), False, [*range(10)]),
        (4, (), False, [4, 5, 6, 7, 8, 9]),  # whole batches are done
        (6, (), False, [4, 5, 6, 7, 8, 9]),  # the second batch was cut short: all of it again
        (10, (), False, []),
        (10, (), True, []),
        (10, (7, 2), False, []),
        (10, (7, 2), True, [2, 7]),
        (6, (1, 5), False, [4, 5, 6, 7, 8, 9]),  # row 5 failed in the batch that was cut short
        (6, (1, 5), True, [4, 5, 6, 7, 8, 9, 1]),  # no row twice, and failed ones last
    ],
)
def test_to_score_repeats_cut_batches_and_failed_rows(
    done: int, failed: tuple[int, ...], retry_failed: bool, rows: list[int]
) -> None:
    assert filled(10, done, failed).to_score(4, retry_failed=retry_failed) == rows


def test_to_score_between_done_batches() -> None:
    results = filled(12, 12, ())
    results.add(5, None, None)
    assert results.to_score(4, retry_failed=False) == [4, 5, 6, 7]
