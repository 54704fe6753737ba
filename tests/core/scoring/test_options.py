"""`ScorerOptions`, and the front ends that are built from it."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resmem_plugin import Scorer, ScorerOptions
from resmem_plugin.core.errors import OptionError
from tests.models import Red

DEFAULTS = {each.name: each.default for each in fields(ScorerOptions)}


def test_options_are_frozen_and_picklable() -> None:
    options = ScorerOptions(device="cpu", num_workers=3, storage_options={"key": "value"})
    assert pickle.loads(pickle.dumps(options)) == options
    with pytest.raises(FrozenInstanceError):
        options.device = "cuda"  # type: ignore[misc]


def test_changed_options_are_compared_by_value() -> None:
    assert ScorerOptions(device="".join(["au", "to"]), exif_transpose=False).changed == []
    assert ScorerOptions(precision="int8", calibration=np.zeros((2, 8, 8, 3))).changed == ["precision", "calibration"]


def test_a_scorer_of_options_is_the_scorer_with_these_keywords() -> None:
    options = ScorerOptions(device="cpu", batch_size=3, num_workers=2)
    scorer = Scorer.of(options, Red())
    assert scorer.options == options == Scorer(device="cpu", batch_size=3, num_workers=2, model=Red()).options
    assert (scorer.batch_size, scorer.num_workers) == (3, 2)


def _front_ends() -> list[Callable[..., Any]]:
    from resmem_plugin.fiftyone import MemorabilityModel, compute_memorability
    from resmem_plugin.fiftyone.app.compute import ComputeMemorability
    from resmem_plugin.pandas.accessor import ResMemAccessor

    operator = ComputeMemorability.__call__
    return [Scorer.__init__, ResMemAccessor.score, compute_memorability, operator, MemorabilityModel.__init__]


@pytest.mark.parametrize("front_end", _front_ends(), ids=lambda each: each.__qualname__)
def test_every_front_end_has_the_defaults_of_the_options(front_end: Callable[..., Any]) -> None:
    parameters = inspect.signature(front_end).parameters
    shared = {name: parameters[name].default for name in DEFAULTS if name in parameters}
    assert len(shared) >= 3
    assert shared == {name: DEFAULTS[name] for name in shared}


def test_the_scorer_has_every_option() -> None:
    assert set(DEFAULTS) <= set(inspect.signature(Scorer).parameters)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"num_workers": True}, "num_workers must be a whole number from 1"),
        ({"decode": "quick"}, "decode must be 'exact' or 'fast'"),
        ({"processes": 4}, "num_workers sets how many"),
        ({"weights": 5}, "weights must be a path or None, not 5"),
        ({"cache": 5}, "cache must be True, a path or None, not 5"),
        ({"storage_options": ["key"]}, "storage_options must be a dict or None, not a list"),
        ({"exif_transpose": "yes"}, "exif_transpose must be True or False, not 'yes'"),
        ({"calibration": "0123456789abcdef"}, "calibration is for precision='int8'"),
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ScorerOptions(**wrong)


def test_options_beside_a_scorer_are_refused_by_every_front_end(red: Scorer) -> None:
    from resmem_plugin.fiftyone import MemorabilityModel

    message = r"scorer brings its own device, batch_size: give these to Scorer\(...\) instead"
    with pytest.raises(OptionError, match=message):
        pd.DataFrame({"path": ["a.jpg"]}).resmem.score("path", device="cpu", batch_size=2, scorer=red)
    with pytest.raises(OptionError, match=message):
        MemorabilityModel(device="cpu", batch_size=2, scorer=red)
