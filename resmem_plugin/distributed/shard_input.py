"""Reads an input in shards: parts of at most so many rows, each named by its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.sources import join_root
from resmem_plugin.jobs.arrow import require_pyarrow
from resmem_plugin.jobs.inputs import read_inputs
from resmem_plugin.jobs.outputs import RESULT_COLUMNS, check_columns, check_not_taken
from resmem_plugin.jobs.parquet_folder import parts_of
from resmem_plugin.jobs.tables import to_arrow

if TYPE_CHECKING:
    import pyarrow as pa


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


def read_shards(
    inputs: Sequence[str], rows: int, *, path_column: str, root: str | None, base64: bool = False, **options: Any
) -> Iterator[Shard]:
    """Read an input in shards. Parquet, a file or a folder, streams in flat memory; other inputs are read whole.

    Args:
        inputs: as `read_inputs` takes them.
        rows: of a shard, at most. One of a folder's files ends a shard.
        path_column: the table's column of images.
        root: folder or URL that relative paths are joined to; None: the current folder.
        base64: the column holds images in base64.
        **options: of `read_inputs`.

    Raises:
        OptionError: for inputs that cannot be read, or whose columns do not fit.
    """
    require_pyarrow()
    parts = parts_of(inputs[0]) if len(inputs) == 1 else None
    if parts is not None:
        if base64 and root:
            raise OptionError("--base64 is for the column of a table, without --root")
        base = None if base64 else os.path.expanduser(root) if root else os.getcwd()
        for batch in filter(len, _stream(parts, rows, path_column)):
            images = [_image(image) for image in batch[path_column].to_pylist()]
            yield _shard(batch, images if base is None else _joined(images, base), path_column)
        return
    table, images = read_inputs(inputs, path_column=path_column, root=root, base64=base64, **options)
    check_columns(table, path_column, output="shards.parquet")
    arrow = to_arrow(table)
    for start in range(0, len(images), rows):
        some = images[start : start + rows]
        yield _shard(arrow.slice(start, rows), some if base64 else _joined(some, os.getcwd()), path_column)


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
            yield file.schema_arrow.empty_table()  # whose columns are checked even where there are no rows
            for batch in file.iter_batches(rows):
                yield pa.Table.from_batches([batch])
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
