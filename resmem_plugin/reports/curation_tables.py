"""The tables of the report of a scored set of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.curation.diversity import near_duplicate_groups
from resmem_plugin.curation.drift import compare
from resmem_plugin.curation.reference import Reference, percentiles
from resmem_plugin.curation.selection import class_codes

COMPARED_CLASSES = 30
"""The largest classes, which are compared with the others."""

_MAX_BINS = 50
_SHARES = (1, 5, 25, 50, 75, 95, 99)
_PERMUTATIONS, _FEWER_PERMUTATIONS, _MANY = 999, 199, 10_000  # the fewer for more scores than that


def summary(scores: npt.NDArray[np.float64], errors: pd.Series[Any] | None) -> pd.DataFrame:
    """How many images there are, and what their scores are like: one row."""
    known = scores[np.isfinite(scores)]
    failed = 0 if errors is None else int((np.isnan(scores) & _given(errors)).sum())
    low, median, high = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else [np.nan] * 3
    return pd.DataFrame(
        {
            "images": [len(scores)],
            "scored": [len(known)],
            "failed": [failed],
            "missing": [len(scores) - len(known) - failed],
            "mean": [known.mean() if len(known) else np.nan],
            "std": [known.std(ddof=1) if len(known) > 1 else 0.0],
            "quartile_1": [low],
            "median": [median],
            "quartile_3": [high],
        }
    )


def _given(errors: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    return np.array([isinstance(error, str) and bool(error) for error in errors], bool)


def distribution(scores: npt.NDArray[np.float64]) -> pd.DataFrame:
    """How many scores lie in each bin of a histogram; its bins are as wide as Freedman and Diaconis' rule says."""
    known = scores[np.isfinite(scores)]
    bins = 1
    if len(known) > 1 and np.ptp(known) > 0:
        low, high = np.quantile(known, [0.25, 0.75])
        width = 2 * (high - low) / len(known) ** (1 / 3)
        bins = int(min(_MAX_BINS, np.ceil(np.ptp(known) / width))) if width * _MAX_BINS > np.ptp(known) else _MAX_BINS
    counts, edges = np.histogram(known, bins)
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "images": counts})


def percentile_table(
    scores: npt.NDArray[np.float64], reference: Reference | None, provenance: Provenance | None
) -> pd.DataFrame:
    """Some scores with their percentiles, among these images and among those of a reference."""
    known = scores[np.isfinite(scores)]
    values = np.quantile(known, np.array(_SHARES) / 100) if len(known) else np.zeros(0)
    table = pd.DataFrame({"score": values, "percentile": percentiles(values, known) if len(known) else values})
    if reference is not None:
        table["reference_percentile"] = reference.percentile(values, provenance)
    return table


def classes(scores: npt.NDArray[np.float64], classes: pd.Series[Any]) -> pd.DataFrame:
    """Each class with at least one score, and how it compares with the others; the most frequent first."""
    codes, names = class_codes(classes)
    known = np.isfinite(scores) & (codes >= 0)
    rows: list[dict[str, Any]] = []
    counts = np.bincount(codes[known], minlength=len(names))
    for code in np.argsort(-counts, kind="stable"):
        inside, others = scores[known & (codes == code)], scores[known & (codes != code)]
        if not len(inside):
            continue
        row: dict[str, Any] = {"class": names[code], "scored": len(inside), "mean": inside.mean()}
        if len(rows) < COMPARED_CLASSES and len(inside) > 1 and len(others) > 1:
            found = compare(inside, others, _PERMUTATIONS if known.sum() <= _MANY else _FEWER_PERMUTATIONS)
            row |= {"effect": found.effect, "effect_low": found.low, "effect_high": found.high, "p": found.p}
        rows.append(row)
    return pd.DataFrame(rows, columns=["class", "scored", "mean", "effect", "effect_low", "effect_high", "p"])


def kinds(scores: npt.NDArray[np.float64], kinds: Sequence[str | None]) -> pd.DataFrame:
    """How many images of each kind there are, and their mean score."""
    if len(kinds) != len(scores):
        raise OptionError(f"kinds must be as many as the rows, {len(scores)}, not {len(kinds)}")
    table = pd.DataFrame({"kind": pd.Series(list(kinds), dtype=object), "score": scores}).dropna(subset=["kind"])
    found = table.groupby("kind")["score"].agg(["size", "mean"]).reset_index()
    return found.set_axis(["kind", "images", "mean"], axis=1).sort_values("images", ascending=False, ignore_index=True)


def groups(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The group of near-duplicates of each image, -1 for one without; rows with NaN have none."""
    if features.ndim != 2:
        raise OptionError(f"features must be an array (N, D), not {features.shape}")
    known = np.isfinite(features).all(axis=1)
    groups = np.full(len(features), -1, np.int64)
    if known.any():
        groups[known] = near_duplicate_groups(features[known])
    return groups


def near_duplicates(
    scores: npt.NDArray[np.float64], groups: npt.NDArray[np.int64], names: Sequence[str]
) -> pd.DataFrame:
    """The best of each group of near-duplicates, with the others; the largest groups first."""
    if len(groups) != len(scores):
        raise OptionError(f"features must have a row for each of the {len(scores)} images, not {len(groups)}")
    rows = []
    for members in np.split(np.argsort(groups, kind="stable"), np.flatnonzero(np.diff(np.sort(groups))) + 1):
        if len(members) and groups[members[0]] >= 0:
            best = members[np.argmax(np.nan_to_num(scores[members], nan=-1))]
            rows.append((names[best], scores[best], len(members), [names[row] for row in members if row != best]))
    rows.sort(key=lambda row: -row[2])
    return _table(rows, ["best", "score", "images", "others"])


def failures(scores: npt.NDArray[np.float64], errors: pd.Series[Any], names: Sequence[str]) -> pd.DataFrame:
    """The reasons, without what differs from one image to the next, the most frequent first."""
    failed = np.flatnonzero(np.isnan(scores) & _given(errors))
    found: dict[str, list[int]] = {}
    for row in failed.tolist():
        reason = re.sub(r"(?<![\w.])\d[\d,._]*", "…", str(errors.iloc[row]).partition(":")[0])
        found.setdefault(reason, []).append(row)
    rows = [(reason, len(members), names[members[0]]) for reason, members in found.items()]
    rows.sort(key=lambda row: -row[1])
    return _table(rows, ["reason", "images", "first"])


def _table(rows: list[Any], columns: list[str]) -> pd.DataFrame:
    """Text as objects: pandas' own type for text takes valid Unicode alone, and names of files may be any bytes."""
    text = {"best", "others", "reason", "first"}
    return pd.DataFrame(
        {
            name: pd.Series([row[number] for row in rows], dtype=object if name in text else None)
            for number, name in enumerate(columns)
        }
    )
