"""`explain_into`: explanations of many images as files in a folder, written one after the other, and resumed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.explain.explanation import Explanation
from resmem_plugin.explain.saliency import check_options, iter_explanations

SUFFIX = ".npz"

Existing: TypeAlias = Literal["refuse", "resume", "overwrite"]

_LONGEST_STEM = 40  # characters, of up to four bytes
_PICTURE_PX = (1024, 1024)


def explain_into(
    folder: str | os.PathLike[str],
    images: Sequence[object],
    method: str = "occlusion",
    *,
    baseline: str = "blurred",
    passes: int | None = None,
    seed: int = 0,
    existing: Existing = "refuse",
    scorer: Scorer | None = None,
) -> Iterator[tuple[str, Explanation]]:
    """Explain images, and keep each explanation as soon as there is one: its map (.npz), and the overlay (.png).

    A file is named after its image and a hash of its whole path. An image that occurs twice is explained once.

    Args:
        folder: it is created.
        images: as for `explain`.
        method: as for `explain`; so are `baseline`, `passes` and `seed`.
        baseline: see `method`.
        passes: see `method`.
        seed: see `method`.
        existing: what to do where an image has a file: "refuse" before anything is computed, "resume" (take what the
            file holds; images without one are explained), or "overwrite".
        scorer: whose network is explained; None: `Scorer()`.

    Returns:
        In the order of the images: the name of the file, without its suffix, and the explanation; "" and the reason
        for an image that cannot be read.

    Raises:
        OptionError: if there are files; or with "resume", made with other options or another network.

    Examples:
        >>> from resmem_plugin.explain import explain_into
        >>> for name, explanation in explain_into("explained", ["chelsea.png"], "layer_cam"):
        ...     print(name[:8], explanation.ok)
        chelsea- True
    """
    wanted = (method, "" if method == "layer_cam" else baseline, check_options(method, baseline, passes), seed)
    scorer = Scorer() if scorer is None else scorer
    names = [name_of(image, number) for number, image in enumerate(images)]
    there = {name for name in dict.fromkeys(names) if os.path.exists(Path(folder, name + SUFFIX))}
    if there and existing == "refuse":
        raise OptionError(
            f"{os.fspath(folder)} has explanations of {len(there)} of these images: name another folder, resume or "
            "overwrite them"
        )
    kept = there if existing == "resume" else set()
    for name in kept:
        _require_same(Path(folder, name + SUFFIX), wanted, scorer)
    os.makedirs(folder, exist_ok=True)
    missing = {name: image for name, image in zip(names, images, strict=True) if name not in kept}
    made = iter_explanations(missing.values(), method, baseline=baseline, passes=passes, seed=seed, scorer=scorer)
    return _explained(Path(folder), images, names, kept, made, scorer)


def name_of(image: object, number: int) -> str:
    """The name of an image's files: its own with a hash of its path, or its position."""
    if not isinstance(image, (str, os.PathLike)):
        return f"image-{number:06d}"
    path = os.fsdecode(image)
    stem = re.sub(r"[^\w.-]+", "_", re.split(r"[/\\]", path)[-1].rpartition(".")[0] or path[-_LONGEST_STEM:])
    return f"{stem[:_LONGEST_STEM]}-{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"


def _require_same(path: Path, wanted: tuple[object, ...], scorer: Scorer) -> None:
    found = Explanation.load(path)
    of_them = (found.method, found.baseline, found.passes, found.seed)
    if of_them != wanted or found.provenance is None or found.provenance.id != scorer.provenance.id:
        raise OptionError(
            f"{path} was explained with other options or another network: give the same ones, overwrite it, or name "
            "another folder"
        )


def _explained(
    folder: Path,
    images: Sequence[object],
    names: list[str],
    kept: set[str],
    made: Generator[Explanation, None, None],
    scorer: Scorer,
) -> Iterator[tuple[str, Explanation]]:
    failed: dict[str, Explanation] = {}
    done = set(kept)
    with contextlib.closing(made):
        for row, (name, image) in enumerate(zip(names, images, strict=True)):
            if name in done:
                yield name, replace(Explanation.load(folder / (name + SUFFIX)), index=row)
            elif name in failed:
                yield "", replace(failed[name], index=row)
            else:
                explanation = replace(next(made), index=row)
                if not explanation.ok:
                    failed[name] = explanation
                    yield "", explanation
                    continue
                shown = scorer.reader.read(image).image.copy()
                shown.thumbnail(_PICTURE_PX)
                with replacing(folder / f"{name}.png") as unfinished:
                    explanation.overlay(shown).save(unfinished, "PNG")
                explanation.save(folder / (name + SUFFIX))
                done.add(name)
                yield name, explanation
