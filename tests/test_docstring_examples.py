"""The examples in docstrings run, and every public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import resmem_plugin
import resmem_plugin.fiftyone
from tests.datasets import folders

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_names() -> list[str]:
    """All modules of the package; `__main__` would run the command."""
    found = pkgutil.walk_packages(resmem_plugin.__path__, "resmem_plugin.")
    return ["resmem_plugin", *(each.name for each in found if not each.name.endswith("__main__"))]


def doctests(module: types.ModuleType) -> list[doctest.DocTest]:
    """Those of a module. Examples are self-contained: they see none of the module's names."""
    return doctest.DocTestFinder().find(module, globs={})


DOCTESTS = [test for name in module_names() for test in doctests(importlib.import_module(name)) if test.examples]


def run_examples(test: doctest.DocTest) -> None:
    """Run the examples of one docstring; an AssertionError shows every output that differs."""
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
    assert not results.failed, "".join(report)


@pytest.fixture
def photograph_folder(tmp_path: Path, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder that holds the demo photographs; no CUDA device, for scores are those of the CPU."""
    for name, path in photos.items():
        (tmp_path / name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    yield tmp_path
    plt.close("all")


@pytest.fixture
def new_datasets_deleted() -> Iterator[None]:
    import fiftyone as fo

    before = set(fo.list_datasets())
    yield
    for name in set(fo.list_datasets()) - before:
        fo.delete_dataset(name)


@pytest.mark.weights
@pytest.mark.parametrize("test", DOCTESTS, ids=[test.name.removeprefix("resmem_plugin.") for test in DOCTESTS])
def test_docstring_examples_run(test: doctest.DocTest, photograph_folder: Path, request: pytest.FixtureRequest) -> None:
    if test.name.startswith("resmem_plugin.fiftyone"):
        request.getfixturevalue("database")
        request.getfixturevalue("new_datasets_deleted")
    if test.name.startswith("resmem_plugin.datasets"):
        for name in ("lamem", "memcat", "figrim", "things"):
            getattr(folders, name)(photograph_folder / name)
    run_examples(test)


def _documented(text: str) -> doctest.DocTest:
    return doctest.DocTestParser().get_doctest(text, {}, "example", None, None)


@pytest.mark.parametrize(
    "example", [">>> 1 + 1\n3", ">>> 1 + 1\n", ">>> undefined_name", ">>> import warnings; warnings.warn('old')"]
)
def test_a_wrong_example_fails(example: str) -> None:
    run_examples(_documented(">>> 1 + 1\n2"))
    with pytest.raises(AssertionError, match="Failed example"):
        run_examples(_documented(example))


def public_objects() -> dict[str, Any]:
    """Qualified name -> the object whose docstring must hold an example."""
    from resmem_plugin.core.scoring.progress import Progress
    from resmem_plugin.fiftyone.app import OPERATORS
    from resmem_plugin.pandas.accessor import ResMemAccessor
    from resmem_plugin.reports.gallery import Card, Gallery

    public = [getattr(resmem_plugin, name) for name in resmem_plugin.__all__]
    public += [getattr(resmem_plugin.fiftyone, n) for n in resmem_plugin.fiftyone.__all__ if n != "register"]
    public += [ResMemAccessor, Gallery, Card, Progress]
    needed = {}
    for each in public:
        needed[each.__qualname__] = each
        if isinstance(each, type) and not _is_record(each):
            needed |= {f"{each.__qualname__}.{name}": method for name, method in _public_methods(each)}
    return needed | {f"{operator.__qualname__}.__call__": operator.__call__ for operator in OPERATORS}


def _is_record(cls: type) -> bool:
    """A dataclass or NamedTuple needs the example on the class alone."""
    return is_dataclass(cls) or hasattr(cls, "_fields")


def _public_methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Methods of this package's making; those that another package's base class declares are shown by the class."""
    outside = [base for base in cls.__mro__ if not base.__module__.startswith("resmem_plugin")]
    for name, method in inspect.getmembers(cls, inspect.isroutine):
        if not name.startswith("_") and not any(hasattr(base, name) for base in outside):
            yield name, method


def _has_example(documented: object) -> bool:
    return bool(doctest.DocTestParser().get_examples(inspect.getdoc(documented) or ""))


def test_every_public_name_has_an_example(record_property: Callable[[str, object], None]) -> None:
    needed = public_objects()
    missing = {name for name, documented in needed.items() if not _has_example(documented)}
    assert sorted(missing) == []
    examples = sum(len(test.examples) for test in DOCTESTS)
    record_property("docstrings with examples", f"{len(DOCTESTS)}, of {examples} statements")
    record_property("public names with examples", f"{len(needed) - len(missing)} of {len(needed)}")


def test_a_missing_example_is_found() -> None:
    assert _has_example(_documented) is False
    needed = public_objects()
    assert {"Scorer", "Scorer.score", "ResMemAccessor.top", "Card", "SortByMemorability.__call__"} <= needed.keys()
    assert not {"Card.__eq__", "Provenance.to_dict", "ResMem.forward", "register"} & needed.keys()
