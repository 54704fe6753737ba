"""Every kind of the corpus through all four front ends: the expected outcome, and the same one in each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor

import resmem_plugin  # noqa: F401 (registers df.resmem)
from resmem_plugin import Scorer, transformer
from resmem_plugin.cli import main
from resmem_plugin.core.engines.base import Engine
from resmem_plugin.core.engines.pytorch.engine import PyTorchEngine
from resmem_plugin.core.errors import ClippedImagesWarning, FailedImagesWarning, ThumbnailsWarning
from resmem_plugin.core.images.reader import ImageReader, to_rgb
from tests.corpus.archives import ARCHIVE_KINDS
from tests.corpus.encoded import ENCODED_KINDS
from tests.corpus.kinds import Kind
from tests.corpus.objects import OBJECT_KINDS
from tests.corpus.paths import PATH_KINDS
from tests.models import Red

KINDS = (
    ENCODED_KINDS | OBJECT_KINDS | ARCHIVE_KINDS | PATH_KINDS
)  # those that change at the end: no front end has read so far by then
LONGEST_S = 60  # for all of them through one front end

NOT_FILES = {*OBJECT_KINDS, "path object without a name"}
"""What the command line and FiftyOne, which know files by their names, cannot be handed."""
NOT_ON_A_COMMAND_LINE = {"name of a lone surrogate", "name with NUL", "empty name"}
NOT_IN_FIFTYONE = {
    "name of a lone surrogate",  # its database holds UTF-8 alone
    "name of other bytes than UTF-8",
    "name without a suffix",  # by which it knows images
    "empty name",
    *ARCHIVE_KINDS,  # by whose suffix it takes them for media of an unknown kind
    *(name for name in PATH_KINDS if name.startswith("file URL")),
}

FLAWS = (ClippedImagesWarning, ThumbnailsWarning)

pytestmark = [pytest.mark.filterwarnings(f"ignore::{category.__module__}.{category.__name__}") for category in FLAWS]


@dataclass(frozen=True)
class Corpus:
    """The kinds, made.

    Attributes:
        folders: kind -> the folder that it has for itself.
        references: kind -> what a front end is handed.
    """

    folders: dict[str, Path]
    references: dict[str, object]

    @staticmethod
    def made(root: Path) -> Corpus:
        """Make all kinds under a folder."""
        folders = {name: root / str(number) for number, name in enumerate(KINDS)}
        for folder in folders.values():
            folder.mkdir()
        return Corpus(folders, {name: KINDS[name].make(folders[name]) for name in KINDS})

    def model(self, names: list[str]) -> Callable[[Tensor], Tensor]:
        """The mean of the red channel, from a model at whose first batch the files change that are to."""
        changes = []
        for name in names:
            change = KINDS[name].after_listing
            if change is not None:
                self._make_again(name)
                changes.append((change, os.fspath(self.references[name])))  # type: ignore[call-overload]
        red = Red()

        def model(x: Tensor) -> Tensor:
            while changes:
                change, path = changes.pop()
                change(path)
            scores: Tensor = red(x)
            return scores

        return model

    def _make_again(self, name: str) -> None:
        folder = self.folders[name]
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.rmdir() if left.is_dir() else left.unlink()
        KINDS[name].make(folder)


@pytest.fixture(scope="module")
def corpus() -> Iterator[Corpus]:
    with tempfile.TemporaryDirectory() as root:
        yield Corpus.made(Path(root))


@contextlib.contextmanager
def _within(seconds: int) -> Iterator[None]:
    """Let nothing block: raise if the block has not ended by then."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it has not ended after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


Outcome = tuple[float | None, str | None]
"""The score, or None, and the reason, or None."""


def through_the_scorer(corpus: Corpus, names: list[str]) -> list[Outcome]:
    scorer = Scorer(device="cpu", model=corpus.model(names), batch_size=4)
    scores = list(scorer.iter_scores(corpus.references[name] for name in names))
    return [(score.memorability if score.ok else None, score.error) for score in scores]


def through_pandas(corpus: Corpus, names: list[str]) -> list[Outcome]:
    column: pd.Series[Any] = pd.Series(index=range(len(names)), dtype=object)
    for row, name in enumerate(names):
        cell: Any = corpus.references[name]
        column.iat[row] = cell
    scorer = Scorer(device="cpu", model=corpus.model(names), batch_size=4)
    frame = column.resmem.score(errors="coerce", return_errors=True, scorer=scorer)
    return [(None if np.isnan(score) else score, error) for score, error in frame.itertuples(index=False)]


def through_the_command_line(corpus: Corpus, names: list[str]) -> list[Outcome]:
    listed = b"\0".join(os.fsencode(corpus.references[name]) for name in names)  # type: ignore[arg-type]
    out = corpus.folders["empty"].parent / "out.jsonl"

    def engine(*_: object) -> Engine:
        return PyTorchEngine(corpus.model(names), device="cpu")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resmem_plugin.core.scoring.scorer.load_engine", engine)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed)))
        assert main(["score", "-", "-0", "-q", "--overwrite", "--batch-size", "4", "-o", str(out)]) == 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [(row["memorability"], row["error"]) for row in rows]


def through_fiftyone(corpus: Corpus, names: list[str]) -> list[Outcome]:
    import fiftyone as fo

    from resmem_plugin.fiftyone import compute_memorability

    dataset = fo.Dataset(f"corpus-{uuid.uuid4().hex[:12]}")
    try:
        dataset.add_samples([fo.Sample(filepath=os.fspath(corpus.references[name])) for name in names])  # type: ignore[call-overload]
        compute_memorability(dataset, scorer=Scorer(device="cpu", model=corpus.model(names), batch_size=4))
        return list(zip(*dataset.values(["memorability", "memorability_error"]), strict=True))
    finally:
        dataset.delete()


FRONT_ENDS: dict[str, tuple[Callable[[Corpus, list[str]], list[Outcome]], set[str]]] = {
    "Scorer": (through_the_scorer, set()),
    "pandas": (through_pandas, set()),
    "CLI": (through_the_command_line, NOT_FILES | NOT_ON_A_COMMAND_LINE),
    "FiftyOne": (through_fiftyone, NOT_FILES | NOT_IN_FIFTYONE),
}


def test_every_kind_has_its_outcome_in_every_front_end(
    corpus: Corpus, database: str, record_property: Callable[[str, object], None]
) -> None:
    outcomes: dict[str, dict[str, Outcome]] = {}
    for front_end, (score, without) in FRONT_ENDS.items():
        names = [name for name in KINDS if name not in without]
        with _within(LONGEST_S):
            outcomes[front_end] = dict(zip(names, score(corpus, names), strict=True))
    wrong = {
        f"{name} ({front_end})": outcome
        for front_end, found in outcomes.items()
        for name, outcome in found.items()
        if not _is_as_expected(KINDS[name], outcome)
    }
    assert wrong == {}
    for front_end, found in outcomes.items():
        different = {name for name, outcome in found.items() if not _same(outcome, outcomes["Scorer"][name])}
        assert different == set(), front_end
    counts = ", ".join(f"{front_end} {len(found)}" for front_end, found in outcomes.items())
    record_property("corpus", f"{len(KINDS)} kinds; {counts}")
    assert len(KINDS) >= 60


def _is_as_expected(kind: Kind, outcome: Outcome) -> bool:
    score, error = outcome
    if kind.reason is None:
        return score is not None and error is None
    return score is None and error is not None and re.search(kind.reason, error, re.DOTALL) is not None


def _same(one: Outcome, other: Outcome) -> bool:
    return one[1] == other[1] and one[0] == pytest.approx(other[0], abs=1e-6)


@pytest.mark.parametrize("kind", [name for name, kind in ENCODED_KINDS.items() if kind.reason is None])
def test_preprocessing_equals_upstreams_on_every_kind(corpus: Corpus, kind: str) -> None:
    resmem = pytest.importorskip("resmem")
    path = corpus.references[kind]
    found = transformer(ImageReader().read(path).image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's, and upstream's own
        expected = resmem.transformer(Image.open(str(path)).convert("RGB"))
    assert found.equal(expected)


def test_images_in_memory_are_read_unchanged(tmp_path: Path) -> None:
    for name, kind in OBJECT_KINDS.items():
        made = kind.make(tmp_path)
        if kind.reason is None and isinstance(made, (np.ndarray, Image.Image)) and "encoded" not in name:
            found = ImageReader().read(made).image
            if isinstance(made, np.ndarray):
                made = Image.fromarray(np.ascontiguousarray(made.squeeze() if "one channel" in name else made))
            assert np.array_equal(np.asarray(found), np.asarray(to_rgb(made))), name


def test_outcomes_do_not_depend_on_warning_filters(corpus: Corpus) -> None:
    names = [*ENCODED_KINDS]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for category in FLAWS:
            warnings.simplefilter("ignore", category)
        strict = through_the_scorer(corpus, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert strict == through_the_scorer(corpus, names)


def test_pandas_warns_of_one_failed_image(corpus: Corpus, red: Scorer) -> None:
    with pytest.warns(FailedImagesWarning, match="damaged or truncated"):
        pd.Series([corpus.references["JPEG cut at 5 tenths"]]).resmem.score(errors="coerce", scorer=red)
