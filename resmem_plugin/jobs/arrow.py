"""Tables that pyarrow reads: parquet, Feather, Arrow's own format and ORC, with their types and metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resmem_plugin.core.errors import MissingPackageError, OptionError

if TYPE_CHECKING:
    import pandas as pd

_FILE_MAGIC = b"ARROW1"
_FEATHER_1_MAGIC = b"FEA1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def read_frame(path: str | os.PathLike[str], suffix: str) -> tuple[pd.DataFrame, dict[bytes, bytes]]:
    """The table in a file, and the metadata of its schema.

    Args:
        path: the file.
        suffix: `.parquet`, `.feather`, `.arrow` or `.orc`.

    Raises:
        OptionError: if it is cut short, repeats a column's name, or pyarrow is built without its format.
        ValueError, OSError: of pyarrow, if it cannot be parsed.
        MissingPackageError: if pyarrow is not installed.
    """
    require_pyarrow()
    if suffix == ".parquet":
        import pandas as pd
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        if repeated := [name for name in schema.names if schema.names.count(name) > 1]:
            raise OptionError(f"{os.fspath(path)} has several columns {repeated[0]!r}: rename them")
        frame = pd.read_parquet(path, dtype_backend="pyarrow")  # numpy has no nullable integers
        return _without_index(frame), dict(schema.metadata or {})
    if suffix == ".orc":
        try:
            import pyarrow.orc
        except ImportError as error:  # on some systems it is built without
            raise OptionError(f"{os.fspath(path)}: this pyarrow cannot read ORC: save it as .parquet") from error
        return to_frame(pyarrow.orc.read_table(os.fspath(path)))
    return to_frame(_read_ipc(path))


def to_frame(table: Any) -> tuple[pd.DataFrame, dict[bytes, bytes]]:
    """A `pyarrow.Table` as a frame of Arrow's types, an index that pandas stored as its first columns; its metadata."""
    import pandas as pd

    return _without_index(table.to_pandas(types_mapper=pd.ArrowDtype)), dict(table.schema.metadata or {})


def with_index(table: Any, start: int = 0) -> Any:
    """A `pyarrow.Table` with the index that pandas stored as its first columns, named as `to_frame` names them.

    Args:
        table: consecutive rows of a file.
        start: the number of their first row in the file.
    """
    import pyarrow as pa

    described = table.schema.pandas_metadata or {}
    stored = described.get("index_columns", ())
    names = {column["field_name"]: column["name"] for column in described.get("columns", ())}
    index = {}
    for level, column in enumerate(stored):
        if isinstance(column, str):
            unnamed = f"level_{level}" if len(stored) > 1 or "index" in table.column_names else "index"
            index[names.get(column) or unnamed] = table[column]
        elif column["name"] is not None:  # a range; one without a name is no column
            numbers = range(column["start"], column["stop"], column["step"])[start : start + len(table)]
            index[column["name"]] = pa.array(numbers, pa.int64())
    if not index:
        return table
    others = {name: table[name] for name in table.column_names if name not in stored}
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"pandas"}
    return pa.table([*index.values(), *others.values()], [*index, *others], metadata=metadata)


def readable_metadata(metadata: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The metadata of a schema that pandas wrote, with "object" in the place of types that pandas cannot parse.

    Of Arrow's nested types and dictionaries it writes names such as `list<item: int64>[pyarrow]`, on which its own
    `read_parquet` fails.
    """
    stored = json.loads(metadata[b"pandas"])
    for column in stored["columns"]:
        column["numpy_type"] = column["numpy_type"] if _is_dtype(column["numpy_type"]) else "object"
    return {**metadata, b"pandas": json.dumps(stored).encode()}


def check_storable(names: Sequence[object], columns: Sequence[Any], path: str) -> None:
    """Check before any image is scored that parquet can hold the columns of a table.

    Raises:
        OptionError: naming a column that it cannot, such as one of numbers and text, or of names that are not UTF-8.
    """
    import pyarrow as pa

    for name, column in zip(names, columns, strict=True):
        if isinstance(column, list) or column.dtype == object:
            try:
                pa.array(column, from_pandas=True)
            except UnicodeError as error:
                raise OptionError(
                    f"{path} cannot hold the column {name!r} of the table, of which a value is not UTF-8: write .csv "
                    "or .jsonl"
                ) from error
            except (pa.ArrowException, TypeError, OverflowError) as error:
                reason = str(error).partition("\n")[0]
                raise OptionError(
                    f"{path} cannot hold the column {name!r} of the table, as its values are of several types or too "
                    f"large ({reason}): write .csv or .jsonl, or make them alike"
                ) from error


def require_pyarrow() -> None:
    """Check that pyarrow is installed.

    Raises:
        MissingPackageError: if it is not.
    """
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            'parquet, feather, arrow and orc files need pyarrow: pip install "resmem-plugin[parquet]", or use .csv or '
            ".jsonl"
        ) from error


def _is_dtype(name: str) -> bool:
    """Whether pandas can parse the name of a type."""
    import pandas as pd

    try:
        pd.api.types.pandas_dtype(name)
    except (TypeError, NotImplementedError):
        return False
    return True


def _without_index(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    is_default = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    return frame if is_default else frame.reset_index()


def _read_ipc(path: str | os.PathLike[str]) -> Any:
    import pyarrow as pa
    import pyarrow.feather

    content = Path(path).read_bytes()
    if content.startswith(_FEATHER_1_MAGIC):
        return pyarrow.feather.read_table(path)
    if content.startswith(_FILE_MAGIC):
        return pa.ipc.open_file(pa.BufferReader(content)).read_all()
    table = pa.ipc.open_stream(pa.BufferReader(content)).read_all()
    if not content.endswith(_END_OF_STREAM):  # cut between two batches it would be read, without its last rows
        raise OptionError(f"{os.fspath(path)} is an Arrow stream without its end: copy it again, or close its writer")
    return table
