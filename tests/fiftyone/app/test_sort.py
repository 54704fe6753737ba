"""The operator `sort_by_memorability`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator


def test_sort(ten: Any, stand_in: Scorer) -> None:
    compute_memorability(ten, scorer=stand_in)
    operator = get_operator("sort_by_memorability")
    assert operator(ten).values("filepath") == ten.values("filepath")[::-1]
    assert operator(ten, most_memorable_first=False).values("filepath") == ten.values("filepath")
    uri = f"{PLUGIN}/sort_by_memorability"
    done = foo.execute_operator(uri, {"dataset": ten}, params={"order": "least"})
    view = fo.DatasetView._build(ten, done.result["view"])
    assert view.values("filepath") == ten.values("filepath")
    with pytest.raises(ExecutionError):
        foo.execute_operator(uri, {"dataset": fo.Dataset()}, params={})
