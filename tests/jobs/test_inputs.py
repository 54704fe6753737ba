"""The inputs of `resmem score`: images, folders, and lists of paths on standard input."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from resmem_plugin.cli import main
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.reader import is_missing
from resmem_plugin.jobs.inputs import read_inputs
from tests.jobs.photo_folder import Stdin, read_scores

pytestmark = pytest.mark.weights


def test_image_files_and_recursive_folders(
    expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "images"]) == 0
    captured = capsys.readouterr()
    assert read_scores(captured.out) == pytest.approx(
        {path: expected_scores[path] for path in list(expected_scores)[:2]}, abs=1e-6
    )
    assert "2 of 2 scored" in captured.err
    assert main(["score", "--recursive", "images"]) == 0
    assert read_scores(capsys.readouterr().out) == pytest.approx(expected_scores, abs=1e-6)
    assert main(["score", "images/b.jpg", "images/sub"]) == 0
    assert list(read_scores(capsys.readouterr().out)) == ["images/b.jpg", "images/sub/c.png"]


@pytest.mark.parametrize(("options", "separator"), [([], b"\n"), ([], b"\r\n"), (["-0"], b"\0")])
def test_list_of_paths_on_stdin(
    options: list[str],
    separator: bytes,
    expected_scores: dict[str, float],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(separator.join(path.encode() for path in expected_scores) + separator))
    assert main(["score", "-", *options]) == 0
    assert read_scores(capsys.readouterr().out) == pytest.approx(expected_scores, abs=1e-6)


def test_root_applies_to_lists_but_not_to_named_images(
    expected_scores: dict[str, float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"sub/c.png\n"))
    assert main(["score", "images/a.png", "-", "--root", "images"]) == 0
    assert list(read_scores(capsys.readouterr().out)) == ["images/a.png", "images/sub/c.png"]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("a.xls", "save it as .xlsx"),
        ("a.ods", "save it as .xlsx"),
        ("a.zst", "unpack it first"),
        ("a.gz", "unpack it"),
        ("a.pkl", ".parquet"),
    ],
)
def test_a_table_of_a_format_that_is_not_read_says_what_to_do(name: str, cure: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"content")
    with pytest.raises(OptionError, match=cure):
        read_inputs([str(tmp_path / name)], path_column="path", root=None, recursive=False, null=False)


def test_every_kind_of_table_among_other_inputs_is_to_be_scored_alone(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.jpg"]}).to_parquet(tmp_path / "part.parquet")
    for name in ("a.csv", "a.jsonl", "a.csv.gz", "a.XLSX", "a.arrow", "a.orc", str(tmp_path)):
        with pytest.raises(OptionError, match="score it alone"):
            read_inputs([name, "a.jpg"], path_column="path", root=None, recursive=False, null=False)


@pytest.mark.parametrize("name", ["caption.txt", "a.jpg.json"])
def test_what_describes_an_image_beside_it_is_an_image_that_fails(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('[{"path": "b.jpg"}]\n')
    inputs = [str(tmp_path / name), "a.jpg"]
    assert read_inputs(inputs, path_column="path", root=None, recursive=False, null=False)[1] == inputs


def test_sheet_without_a_workbook_says_so() -> None:
    with pytest.raises(OptionError, match=r"--sheet chooses a sheet of an \.xlsx workbook"):
        read_inputs(["a.jpg"], path_column="path", root=None, recursive=False, null=False, sheet="one")


def test_a_missing_path_in_a_parquet_table_is_a_missing_image(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.jpg", None]}).to_parquet(tmp_path / "a.parquet")
    _, images = read_inputs([str(tmp_path / "a.parquet")], path_column="path", root=None, recursive=False, null=False)
    assert images[0] == "a.jpg"
    assert is_missing(images[1])


def test_ndjson_and_pq_are_other_names_of_jsonl_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"path": "a.jpg"}\n')
    pd.DataFrame({"path": ["a.jpg"]}).to_parquet(tmp_path / "a.pq")
    for name in ("a.ndjson", "a.pq"):
        table, images = read_inputs([str(tmp_path / name)], path_column="path", root=None, recursive=False, null=False)
        assert (table.names, images) == (["path"], ["a.jpg"])


def test_a_folder_or_archive_of_tables_alone_says_what_to_do(tmp_path: Path) -> None:
    folder, archive = tmp_path / "export", tmp_path / "export.csv.zip"
    folder.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("export.csv", "path\n")
    for name in ("part.csv.gz", "photos.zip", "table.json"):
        (folder / name).touch()
        for given, cure in ((folder, ": name the tables"), (archive, ": unpack it, and name the tables")):
            with pytest.raises(OptionError, match=rf"no images in .* left out: .*{cure} and archives in it to score"):
                read_inputs([str(given)], path_column="path", root=None, recursive=False, null=False)
        (folder / name).unlink()
    (folder / "notes.txt").touch()
    with pytest.raises(OptionError, match=r"1 file left out: 1 \.txt$"):
        read_inputs([str(folder)], path_column="path", root=None, recursive=False, null=False)
