"""The search space of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.errors import OptionError
from resmem_plugin.training.options import TrainingOptions

if TYPE_CHECKING:
    from optuna import Trial

_RANGE = ("low", "high", "log", "step")
_WHOLE = tuple(each.name for each in fields(TrainingOptions) if each.type in ("int", "int | None"))


def check_space(space: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Check that each of its values would do for a training.

    Args:
        space: lists of values, and ranges.
        training: the options that stay as they are.

    Raises:
        OptionError: for an option that does not exist, or a list or range that does not fit it.
    """
    if not space:
        raise OptionError("there is no space to search: name options with their values, as space: {loss: [mse, plcc]}")
    for name, values in space.items():
        if isinstance(values, list):
            if not values:
                raise OptionError(f"space names no values for {name}")
            for value in values:
                TrainingOptions.of({name: value})
            continue
        if not isinstance(values, Mapping) or not {"low", "high"} <= set(values) <= set(_RANGE):
            raise OptionError(
                f"space of {name} must be a list of values or a range with low and high (and log, step), not {values!r}"
            )
        low, high = _ends(name, values)
        if low > high or (values.get("log") and low <= 0):
            raise OptionError(f"space of {name} goes from {low} to {high}: low must be the smaller, above 0 with log")
    if both := sorted(set(space) & set(training)):
        raise OptionError(f"{', '.join(both)} is in training and in space: leave one out")


def suggest(trial: Trial, space: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a trial is to try."""
    chosen: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, list):
            chosen[name] = trial.suggest_categorical(name, values)
            continue
        low, high = _ends(name, values)
        log, step = bool(values.get("log", False)), values.get("step")
        if name in _WHOLE:
            chosen[name] = trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log)
        else:
            chosen[name] = trial.suggest_float(name, low, high, step=step and float(step), log=log)
    return chosen


def _ends(name: str, values: Mapping[str, Any]) -> tuple[float, float]:
    """Both ends of a range, each of which must do for the option."""
    ends = [getattr(TrainingOptions.of({name: values[end]}), name) for end in ("low", "high")]
    if any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in ends):
        raise OptionError(f"{name} has no range: list its values")
    return ends[0], ends[1]
