"""`TrainingConfig`: what `resmem train` and `resmem sweep` read from a YAML file."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from resmem_plugin import datasets
from resmem_plugin.core.errors import MissingPackageError, OptionError
from resmem_plugin.training.options import TrainingOptions

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = ("lamem", "memcat", "figrim", "things")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Data, options and search space of a training or a sweep.

    Attributes:
        data: a table (.csv, .tsv, .jsonl or .parquet), a DataFrame, or a published data set's folder.
        dataset: which data set the folder holds: "lamem", "memcat", "figrim" or "things".
        target: a table's column of what was measured, 0 to 1.
        images: its column of images.
        split: its column of splits; None: that of a published data set, else a share is drawn for validation.
        output: of a training the .safetensors file, of a sweep a folder.
        training: `TrainingOptions`, by name.
        space: of a sweep, by name of an option: a list of values, or a range as {low: 1e-6, high: 1e-3, log: true}, or
            with `step` instead of `log`.
        trials: of a sweep.
        prune: of a sweep: stop trials that are worse than the median of the others at the same epoch.

    Raises:
        OptionError: for a value that does not fit.

    Examples:
        >>> from resmem_plugin.training.config import TrainingConfig
        >>> config = TrainingConfig(data="ratings.csv", target="hit_rate", space={"loss": ["mse", "plcc"]}, trials=2)
        >>> config.prune
        True
    """

    data: Any
    dataset: str | None = None
    target: Hashable = "memorability"
    images: Hashable | None = None
    split: Hashable | None = None
    output: str | os.PathLike[str] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 20
    prune: bool = True

    def __post_init__(self) -> None:
        if self.dataset not in (None, *PUBLISHED):
            raise OptionError(f"dataset must be {', '.join(PUBLISHED)}, not {self.dataset!r}")
        for name in ("training", "space"):
            if not isinstance(getattr(self, name), Mapping):
                raise OptionError(f"{name} must be names with values, not {getattr(self, name)!r}")
        if isinstance(self.trials, bool) or not isinstance(self.trials, int) or self.trials < 1:
            raise OptionError(f"trials must be a whole number from 1, not {self.trials!r}")
        if not isinstance(self.prune, bool):
            raise OptionError(f"prune must be true or false, not {self.prune!r}")
        TrainingOptions.of(self.training)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TrainingConfig:
        """Read a YAML file; paths in it are relative to its folder.

        Raises:
            OptionError: for a file that cannot be read, or a name that does not exist.
            MissingPackageError: if PyYAML is not installed.
        """
        try:
            import yaml
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                f'a configuration needs {error.name}: pip install "resmem-plugin[train]"'
            ) from error
        try:
            with open(path, encoding="utf-8") as file:
                content = yaml.safe_load(file)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise OptionError(f"{os.fspath(path)} cannot be read as YAML ({error}): correct it") from error
        if not isinstance(content, dict) or "data" not in content:
            raise OptionError(f"{os.fspath(path)} must name its data: `data: ratings.csv`")
        known = [each.name for each in fields(cls)]
        for name in content:
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                raise OptionError(
                    f"{os.fspath(path)} has an entry {name!r}"
                    + (f"; did you mean {near[0]}?" if near else f": choose from {', '.join(known)}")
                )
        base = os.path.dirname(os.path.abspath(path))
        for name in ("data", "output"):
            if isinstance(content.get(name), str):
                content[name] = os.path.join(base, os.path.expanduser(content[name]))
        return cls(**content)

    def frame(self) -> pd.DataFrame:
        """The images: "path", "memorability" and "split", as in `resmem_plugin.datasets`.

        Raises:
            OptionError: if the data cannot be read.
        """
        if self.dataset is not None:
            found: pd.DataFrame = getattr(datasets, self.dataset)(self.data)
            return found
        return datasets.manifest(self.data, path=self.images, memorability=self.target, split=self.split)

    def split_of(self, frame: pd.DataFrame) -> str | None:
        """The column of splits in `frame()`; None if there are none, and a share is to be drawn."""
        has_splits = self.split is not None or (self.dataset is not None and frame["split"].notna().any())
        return "split" if has_splits else None
