"""README and docs/: their code runs and prints what they say, and the site is complete and builds without a warning."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import yaml

from resmem_plugin.cli import _parser
from resmem_plugin.core import settings
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]

_LOADED = re.compile(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=[\"']?(https?:[^\"' >]*)")
_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A block of Python on a page, and what the page says that it prints."""

    line: int
    code: str
    output: str


def examples(page: str) -> list[Example]:
    """The blocks of Python in a page's text; a block of text right after one is its output."""
    found: list[Example] = []
    end = -1
    for match in _FENCE.finditer(page):
        if match["language"] == "python":
            found.append(Example(page.count("\n", 0, match.start("code")), match["code"], ""))
        elif match["language"] == "text" and found and not page[end : match.start()].strip():
            found[-1] = found[-1]._replace(output=match["code"])
        end = match.end()
    return found


def run_examples(path: Path) -> None:
    """Run a page's blocks one after the other, as a reader would; their output must be what the page says."""
    namespace: dict[str, Any] = {}
    for example in examples(path.read_text(encoding="utf-8")):
        code = compile("\n" * example.line + example.code, str(path), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)
        assert printed.getvalue() == example.output, f"{path}, line {example.line + 1}"


@pytest.fixture
def datasets_deleted(database: str) -> Iterator[None]:
    """A database whose new datasets are deleted afterwards."""
    import fiftyone as fo

    before = set(fo.list_datasets())
    yield
    for name in set(fo.list_datasets()) - before:
        fo.delete_dataset(name)


@pytest.mark.weights
@pytest.mark.parametrize("name", [name for name in NAMES if examples((ROOT / name).read_text(encoding="utf-8"))])
def test_python_blocks_run_and_print_what_the_page_says(
    name: str,
    photos: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if "import fiftyone" in (ROOT / name).read_text(encoding="utf-8"):
        request.getfixturevalue("datasets_deleted")
    for photograph in photos.values():
        (tmp_path / photograph.name).symlink_to(photograph)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)  # the scores on the pages are those of fp32
    run_examples(ROOT / name)


def test_a_wrong_python_block_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 2\n```\n\n```python\nprint(x)\n```\n\n```text\n2\n```\n")
    run_examples(page)
    page.write_text(page.read_text().replace("```text\n2", "```text\n3"))
    with pytest.raises(AssertionError, match="line 6"):
        run_examples(page)


@pytest.mark.parametrize("name", NAMES)
def test_commands_have_options_that_exist(name: str) -> None:
    for block in _FENCE.finditer((ROOT / name).read_text(encoding="utf-8")):
        for line in block["code"].splitlines() if block["language"] == "sh" else ():
            words = re.split(r" [|>] ", line)
            command = next(shlex.split(part, comments=True) for part in words if part.startswith("resmem "))
            _parser().parse_args(command[1:])


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < 700


def _nav_pages(nav: Any) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    return set().union(*(_nav_pages(entry) for entry in (nav.values() if isinstance(nav, dict) else nav)))


def test_every_page_is_in_the_nav() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs")}
    assert len(pages) > 10
    assert pages <= _nav_pages(nav)


def test_environment_variables_are_documented() -> None:
    page = (ROOT / "docs" / "environment-variables.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(get_args(settings.Variable))


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        assert _LOADED.findall(page.read_text(encoding="utf-8")) == [], page


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_need_no_checkout(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "resmem_plugin" in code
    assert re.findall(r"(?:from|import) +(?:examples|tests|benchmarks)\b", code) == []


def test_docstrings_head_their_examples_as_mkdocstrings_does() -> None:
    """Under `Example:` the site would show quotations instead of code."""
    heading = re.compile(r"^ *Example:$", re.MULTILINE)
    for path in (ROOT / "resmem_plugin").rglob("*.py"):
        assert heading.search(path.read_text(encoding="utf-8")) is None, path
