"""Reads an input in shards: parts of at most so many rows, each named by its content."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.sources import join_root
from resmem_plugin.jobs.arrow import require_pyarrow, with_index
from resmem_plugin.jobs.inputs import read_inputs
from resmem_plugin.jobs.outputs import RESULT_COLUMNS, check_columns, check_not_taken
from resmem_plugin.jobs.parquet_folder import parts_of
from resmem_plugin.jobs.tables import to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTED_PARTS = 1000


@dataclass(frozen=True)
class Shard:
    """Some consecutive rows of the input.

    Attributes:
        name: a hash of the rows and their images, in hexadecimal.
        table: the rows.
        images: their images, relative paths joined to a folder.
    """

    name: str
    table: pa.Table
    images: list[object]


@dataclass(frozen=True)
class ShardInput:
    """The shards of an input, to be read once.

    Attributes:
        total: the rows of the input; None if its files are too many to count them first.
        shards: in the order of the input.
    """

    total: int | None
    shards: Iterator[Shard]

    def __iter__(self) -> Iterator[Shard]:
        return self.shards


def read_shards(
    inputs: Sequence[str], rows: int, *, path_column: str, root: str | None, base64: bool = False, **options: Any
) -> ShardInput:
    """Read an input in shards. Parquet, a file or a folder, streams in flat memory; other inputs are read whole, now.

    Args:
        inputs: as `read_inputs` takes them.
        rows: of a shard, at most. One of a folder's files ends a shard.
        path_column: the table's column of images.
        root: folder or URL that relative paths are joined to; None: the current folder.
        base64: the column holds images in base64.
        **options: of `read_inputs`.

    Raises:
        OptionError: for inputs that cannot be read, or whose columns do not fit; of parquet while it is read.
    """
    require_pyarrow()
    parts = parts_of(inputs[0]) if len(inputs) == 1 else None
    if parts is not None:
        if base64 and root:
            raise OptionError("--base64 is for the column of a table, without --root")
        base = None if base64 else os.path.expanduser(root) if root else os.getcwd()
        return ShardInput(_count(parts), _parquet_shards(parts, rows, path_column, base))
    table, images = read_inputs(inputs, path_column=path_column, root=root, base64=base64, **options)
    check_columns(table, path_column, output="shards.parquet")
    return ShardInput(len(images), _table_shards(to_arrow(table), images, rows, path_column, base64=base64))


def _parquet_shards(parts: Sequence[str], rows: int, path_column: str, base: str | None) -> Iterator[Shard]:
    for batch in filter(len, _stream(parts, rows, path_column)):
        images = [_image(image) for image in batch[path_column].to_pylist()]
        yield _shard(batch, images if base is None else _joined(images, base), path_column)


def _table_shards(
    table: pa.Table, images: list[object], rows: int, path_column: str, *, base64: bool
) -> Iterator[Shard]:
    for start in range(0, len(images), rows):
        some = images[start : start + rows]
        yield _shard(table.slice(start, rows), some if base64 else _joined(some, os.getcwd()), path_column)


def _count(parts: Sequence[str]) -> int | None:
    import pyarrow.parquet as pq

    if len(parts) > _COUNTED_PARTS:
        return None
    with contextlib.suppress(Exception):  # reading the part tells what is wrong with it
        return int(sum(pq.read_metadata(part).num_rows for part in parts))
    return None


def _stream(parts: Sequence[str], rows: int, path_column: str) -> Iterator[pa.Table]:
    first: pa.Schema | None = None
    for part in parts:
        for batch in _batches(part, rows):
            if first is None:
                first = batch.schema
                _check_schema(first, part, path_column)
            if not batch.schema.equals(first):
                raise OptionError(f"{part} has other columns than {parts[0]}: write them all alike")
            yield batch


def _batches(part: str, rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part) as file:
            yield with_index(file.schema_arrow.empty_table())  # its columns are checked even where there are no rows
            start = 0
            for batch in file.iter_batches(rows):
                yield with_index(pa.Table.from_batches([batch]), start)
                start += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise OptionError(f"{part} is not a parquet file that can be read: {error}") from error


def _check_schema(schema: pa.Schema, part: str, path_column: str) -> None:
    if schema.names.count(path_column) != 1:
        raise OptionError(
            f"{part} has no unique column {path_column!r}: choose one with --path-column from {', '.join(schema.names)}"
        )
    if path_column in RESULT_COLUMNS:
        raise OptionError(f"--path-column {path_column} is the name of a column of results: choose another")
    check_not_taken(RESULT_COLUMNS, schema.names)


def _image(value: object) -> object:
    return None if value == "" else value


def _joined(images: list[object], root: str) -> list[object]:
    return [join_root(root, image) for image in images]


def _shard(table: pa.Table, images: list[object], path_column: str) -> Shard:
    digest = hashlib.sha256(repr(table.column_names).encode())
    others = (name for name in table.column_names if name != path_column)
    for value in chain(images, *(table[name].to_pylist() for name in others)):
        content = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return Shard(digest.hexdigest()[:32], table, images)
