"""The operator `memorability_info`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo

from resmem_plugin import Scorer
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.app.operator_driver import PLUGIN, get_operator


def test_info_reports_counts_and_provenance(ten: Any, stand_in: Scorer, bad: dict[str, str]) -> None:
    assert get_operator("memorability_info")(ten) == []
    ten.add_sample(fo.Sample(filepath=bad["text"]))
    compute_memorability(ten, scorer=stand_in)
    (info,) = get_operator("memorability_info")(ten)
    assert (info["field"], info["scored"], info["failed"]) == ("memorability", 10, 1)
    assert info["provenance"]["provenance"] == stand_in.provenance.id
    assert info["when"].startswith("20")
    done = foo.execute_operator(f"{PLUGIN}/memorability_info", {"dataset": ten}, params={})
    assert done.result == {"fields": [info]}
