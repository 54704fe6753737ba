"""The folder of parquet files that a distributed run writes: one for each shard of the input, whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.outputs import RESULT_COLUMNS
from resmem_plugin.jobs.tables import check_writable, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

    from resmem_plugin.distributed.shard_input import Shard

_ORDER = "_order.json"  # readers of parquet folders skip names that start with an underscore
_ATTRIBUTES = b"PANDAS_ATTRS"  # where pandas keeps a frame's `attrs`


class Finished(NamedTuple):
    """A shard that has been scored.

    Attributes:
        rows: how many it has.
        failed: how many of them have no score.
        provenance: the id of the scores' provenance.
    """

    rows: int
    failed: int
    provenance: str


class ShardFolder:
    """Shards on the disk, as `NAME.parquet`, and their order in the input.

    Args:
        path: the folder; `create` makes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._provenance: str | None = None

    def create(self) -> None:
        """Create the folder, unless it is there.

        Raises:
            OptionError: if it cannot be, or holds other files than shards.
        """
        try:
            self.path.mkdir(exist_ok=True)
            others = [entry.name for entry in os.scandir(self.path) if not _is_own(entry.name)]
        except OSError as error:
            raise OptionError(f"{self.path} cannot be a folder of shards ({error.strerror}): name another") from error
        if others:
            raise OptionError(f"{self.path} holds other files ({sorted(others)[0]}): name another folder")

    def finished(self, name: str) -> Finished | None:
        """The shard of this name, or None: it is absent or cannot be read.

        Raises:
            OptionError: if its scores are of another provenance than those before.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            metadata = pq.read_metadata(self._file(name))
            attributes = json.loads((metadata.metadata or {})[_ATTRIBUTES])["resmem"]
            finished = Finished(metadata.num_rows, attributes["failed"], attributes["provenance"])
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return None
        self._check(finished.provenance)
        return finished

    def write(
        self, shard: Shard, memorability: np.ndarray[Any, Any], errors: Iterable[object], provenance: Mapping[str, Any]
    ) -> Finished:
        """Write a shard's rows with their results.

        Raises:
            OptionError: if its scores are of another provenance than those before.
            OSError: if it cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._check(provenance["provenance"])
        count = len(shard.table)
        results = (
            pa.array(memorability, pa.float32(), from_pandas=True),
            pa.array(errors, pa.string()),
            pa.array([provenance["provenance"]] * count, pa.string()),
        )
        table = shard.table
        for name, column in zip(RESULT_COLUMNS, results, strict=True):
            table = table.append_column(name, column)
        finished = Finished(count, results[0].null_count, provenance["provenance"])
        attributes = {"resmem": {**provenance, "failed": finished.failed}}
        table = table.replace_schema_metadata({**(_readable(shard.table)), _ATTRIBUTES: json.dumps(attributes)})
        with replacing(self._file(shard.name)) as unfinished:
            pq.write_table(table, unfinished)
        return finished

    def finish(self, order: list[str]) -> list[str]:
        """Record the order of the shards in the input: the run is complete.

        Returns:
            The shards in the folder that are of another input.
        """
        with replacing(self.path / _ORDER) as unfinished:
            unfinished.write_text(json.dumps(order))
        names = {entry.name.removesuffix(".parquet") for entry in os.scandir(self.path)}
        return sorted(name for name in names - set(order) if not name.startswith(("_", ".")))

    def merge(self, output: str) -> int:
        """Write one table of all shards, in the order of the input; parquet in flat memory.

        Args:
            output: a .parquet, .csv, .tsv or .jsonl file.

        Returns:
            The number of rows.

        Raises:
            OptionError: if a shard is missing or the run is not finished, or the output cannot be written.
        """
        check_writable(output)
        files = self._in_order()
        if not output.lower().endswith((".parquet", ".pq")):
            return self._merge_text(files, output)
        import pyarrow.parquet as pq

        rows, schema = 0, pq.read_schema(files[0]) if files else None
        with replacing(output) as unfinished:
            if schema is None:
                raise OptionError(f"{self.path} holds no rows: nothing was scored")
            attributes = json.loads(schema.metadata[_ATTRIBUTES])
            attributes["resmem"].pop("failed", None)
            schema = schema.with_metadata({**schema.metadata, _ATTRIBUTES: json.dumps(attributes).encode()})
            with pq.ParquetWriter(unfinished, schema) as writer:
                for file in files:
                    table = pq.read_table(file, partitioning=None)
                    writer.write_table(table.replace_schema_metadata(schema.metadata))
                    rows += len(table)
        return rows

    def _merge_text(self, files: list[Path], output: str) -> int:
        import pandas as pd

        from resmem_plugin.jobs.tables import Table

        tables = [read_table(file) for file in files]
        if not tables:
            raise OptionError(f"{self.path} holds no rows: nothing was scored")
        columns: list[Any] = [
            pd.concat([pd.Series(table.columns[number]) for table in tables], ignore_index=True)
            for number in range(len(tables[0].names))
        ]
        names = tables[0].names
        columns[-len(RESULT_COLUMNS)] = columns[-len(RESULT_COLUMNS)].to_numpy(np.float32, na_value=np.nan)
        write_table(Table(names, columns, {len(names) - 2: "'"}), output, {})
        return len(columns[0])

    def _in_order(self) -> list[Path]:
        try:
            order: list[str] = json.loads((self.path / _ORDER).read_text())
        except FileNotFoundError as error:
            raise OptionError(
                f"{self.path} is not a folder of shards that a run has finished: run `resmem score --distributed` "
                "again with the same input, then merge"
            ) from error
        files = [self._file(name) for name in order]
        missing = [file.name for file in dict.fromkeys(files) if not file.is_file()]
        if missing:
            raise OptionError(
                f"{len(missing)} of {len(set(files))} shards are missing in {self.path}, the first is {missing[0]}: "
                "run `resmem score --distributed` again with the same input, then merge"
            )
        return files

    def _check(self, provenance: str) -> None:
        if self._provenance not in (None, provenance):
            raise OptionError(
                f"{self.path} holds scores of provenance {self._provenance}, and others are of {provenance}: give the "
                "options of the first run, or name another folder"
            )
        self._provenance = provenance

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.parquet"


def _is_own(name: str) -> bool:
    return name == _ORDER or name.endswith(".parquet")


def _readable(table: pa.Table) -> dict[bytes, bytes]:
    """The metadata of a table's schema, without pandas' own, which lists columns and an index of other rows."""
    return {key: value for key, value in (table.schema.metadata or {}).items() if key not in (b"pandas", _ATTRIBUTES)}
