"""What the App shows: the operators, their forms, and the panel. A new operator is added to `OPERATORS`."""

from resmem_plugin.fiftyone.app.compute import ComputeMemorability
from resmem_plugin.fiftyone.app.delete import DeleteMemorability
from resmem_plugin.fiftyone.app.explain import ExplainMemorability
from resmem_plugin.fiftyone.app.fine_tune import FineTuneMemorability
from resmem_plugin.fiftyone.app.info import MemorabilityInfo
from resmem_plugin.fiftyone.app.percentiles import MemorabilityPercentiles
from resmem_plugin.fiftyone.app.select import SelectByMemorability
from resmem_plugin.fiftyone.app.sort import SortByMemorability

__all__ = ["OPERATORS"]

OPERATORS = (
    ComputeMemorability,
    SortByMemorability,
    SelectByMemorability,
    MemorabilityInfo,
    MemorabilityPercentiles,
    DeleteMemorability,
    FineTuneMemorability,
    ExplainMemorability,
)
