"""Maps of explanations in a dataset: two fields of heatmaps, whose files are in a folder that the fields name.

The App reads a heatmap's file as numbers from 0 to 255 (16-bit PNG: to 65535), which cannot be negative. So what raises
the score and what lowers it are two heatmaps, in the colours of two fields; 255 stands for the label's attribute
`limit`, in units of the score.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from PIL import Image

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import exif_turn
from resmem_plugin.fiftyone.dataset.names import check_field_name
from resmem_plugin.fiftyone.dataset.schema import all_images

if TYPE_CHECKING:
    from resmem_plugin.explain import Explanation

RAISES, LOWERS = "_raises", "_lowers"

_INFO = "resmem_explanation"
_SIGNS = {RAISES: 1, LOWERS: -1}
_DESCRIPTIONS = {RAISES: "What raises the memorability score", LOWERS: "What lowers the memorability score"}
_LARGEST_PX = (512, 512)


@dataclass(frozen=True)
class ExplanationField:
    """The two fields of heatmaps `<name>_raises` and `<name>_lowers` of a dataset's samples.

    Attributes:
        dataset: the dataset.
        name: what both begin with.
    """

    dataset: Any
    name: str

    @property
    def paths(self) -> list[str]:
        """The names of both."""
        return [self.name + suffix for suffix in _SIGNS]

    @property
    def info(self) -> dict[str, Any] | None:
        """How the maps were made, and their folder; None if there are none of ours."""
        found = self.dataset.get_field(self.paths[0])
        info: dict[str, Any] | None = (getattr(found, "info", None) or {}).get(_INFO)
        return info

    @property
    def owns_files(self) -> bool:
        """Whether the files are this dataset's, and not those of one that it was cloned from."""
        return self.info is not None and self.info["dataset"] == str(self.dataset._doc.id)

    def check(self) -> None:
        """Check that it can be written to.

        Raises:
            OptionError: for an invalid name, or if the dataset has another field of this name.
        """
        for path in self.paths:
            check_field_name(path, self.dataset, of_labels=False)
            if self.dataset.has_field(path) and self.info is None:
                raise OptionError(f"{self.dataset.name!r} has another field {path!r} already: choose another name")

    def add_to_schema(self, info: Mapping[str, Any]) -> None:
        """Add both fields, or record anew how their maps are made."""
        record = {_INFO: {**info, "dataset": str(self.dataset._doc.id)}}
        for path, description in zip(self.paths, _DESCRIPTIONS.values(), strict=True):
            if not self.dataset.has_field(path):
                self.dataset.add_sample_field(
                    path,
                    fo.EmbeddedDocumentField,
                    embedded_doc_type=fo.Heatmap,
                    description=description,
                    info=record,
                )
            found = self.dataset.get_field(path)
            found.info = {**(found.info or {}), **record}
            found.save()

    def labelled(self) -> set[str]:
        """The ids of the samples whose maps are there."""
        if self.info is None:
            return set()
        samples = all_images(self.dataset)
        ids, *maps = samples.values(["id", *(f"{path}.map_path" for path in self.paths)])
        return {
            id_ for id_, *files in zip(ids, *maps, strict=True) if all(file and os.path.exists(file) for file in files)
        }

    def write(self, sample_id: str, filepath: str, stem: Path, explanation: Explanation, limit: float | None) -> None:
        """Write the maps of one sample: the files, then the labels.

        Args:
            sample_id: of the sample.
            filepath: of its image.
            stem: the path of the files, without the endings.
            explanation: the explanation.
            limit: what 255 stands for; None: the strongest value of this map.
        """
        size = Image.new("1", explanation.size)
        size.thumbnail(_LARGEST_PX)
        values = np.nan_to_num(explanation.resized(size.size))
        limit = limit or explanation.limit or 1.0
        labels = {}
        for path, (suffix, sign) in zip(self.paths, _SIGNS.items(), strict=True):
            file = stem.with_name(f"{stem.name}{suffix}.png")
            scaled = Image.fromarray((np.clip(sign * values / limit, 0, 1) * 255).round().astype(np.uint8))
            with replacing(file) as unfinished:
                _upright(scaled, filepath, explanation).save(unfinished, "PNG")
            labels[path] = fo.Heatmap(map_path=str(file), range=[0, 255], limit=limit, score=explanation.score)
        for path, label in labels.items():
            all_images(self.dataset).set_values(path, {sample_id: label}, key_field="id", dynamic=True)

    def delete(self) -> list[str]:
        """Delete both fields, and their files if they are this dataset's; returns what was deleted."""
        info, deleted = self.info, []
        folder = Path(info["folder"]) if info is not None and self.owns_files else None
        files = 0
        if folder is not None:
            for path, suffix in zip(self.paths, _SIGNS, strict=True):
                maps = all_images(self.dataset).values(f"{path}.map_path") if self.dataset.has_field(path) else []
                for file in {Path(each) for each in maps if each}:
                    if file.parent != folder:
                        continue
                    stem = file.name.removesuffix(f"{suffix}.png")
                    for name in (file.name, f"{stem}.npz", f"{stem}.png"):
                        with contextlib.suppress(FileNotFoundError):
                            (folder / name).unlink()
                            files += 1
            with contextlib.suppress(OSError):  # other files are in it
                folder.rmdir()
        for path in self.paths:
            if self.dataset.has_field(path):
                self.dataset.delete_sample_field(path)
                deleted.append(f"field {path}")
        if files:
            deleted.append(f"{files} files")
        return deleted


def explanation_fields(dataset: Any) -> list[str]:
    """The names of the dataset's explanations."""
    names = [name.removesuffix(RAISES) for name in dataset.get_field_schema(flat=False) if name.endswith(RAISES)]
    return [name for name in names if ExplanationField(dataset, name).info is not None]


def _upright(found: Image.Image, filepath: str, explanation: Explanation) -> Image.Image:
    """The map as browsers show the image: turned by its EXIF orientation, which scoring ignores unless asked."""
    if explanation.provenance is not None and explanation.provenance.exif_transpose:
        return found
    with Image.open(filepath) as image:
        turn = exif_turn(image)
    return found if turn is None else found.transpose(turn)
