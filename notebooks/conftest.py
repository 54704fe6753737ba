"""A notebook that uses FiftyOne gets its own mongod, never the one with the user's datasets.

Fixtures do not reach notebooks: their kernels take what they need from the environment.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.mongod import own_mongod


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a notebook, beside a database if it imports FiftyOne."""
    if "import fiftyone" not in item.path.read_text(encoding="utf-8"):
        return (yield)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, own_mongod(Path(folder)):
        return (yield)
