"""`compute_memorability(..., distributed=...)`, with real clusters on this machine."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring.progress import Progress
from resmem_plugin.distributed.workers import Cluster
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.conftest import add_images
from tests.models import Red


@pytest.mark.parametrize("distributed", ["ray", Cluster("dask", workers=2)], ids=["ray", "dask"])
def test_a_cluster_gives_the_scores_and_errors_of_a_plain_run(
    distributed: Any, dataset: Any, reds: list[str], bad: dict[str, str], red: Scorer
) -> None:
    add_images(dataset, [*reds[:5], bad["text"], *reds[5:]])
    summary = compute_memorability(dataset, "plain", scorer=red)
    again = compute_memorability(dataset, "mem", scorer=red, distributed=distributed)
    assert (again.scored, again.failed, again.lowest) == (summary.scored, 1, summary.lowest)
    assert dataset.values("mem") == pytest.approx(dataset.values("plain"), abs=1e-6)
    assert dataset.values("mem_error") == dataset.values("plain_error")
    assert dataset.get_field("mem").info == dataset.get_field("plain").info


def test_a_stopped_run_continues_on_a_cluster(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)

    def stop(progress: Progress) -> None:
        if progress.iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_memorability(dataset, scorer=red, progress=stop, distributed="dask")
    assert 0 < dataset.count("memorability") < len(reds)
    summary = compute_memorability(dataset, scorer=red, distributed="dask")
    assert summary.skipped > 0
    assert summary.skipped + summary.scored == dataset.count("memorability") == len(reds)
    assert compute_memorability(dataset, scorer=red, distributed="dask").skipped == len(reds)


def test_patches_are_cropped_here_and_scored_on_a_cluster(dataset: Any, reds: list[str]) -> None:
    upright = Scorer(device="cpu", model=Red(), exif_transpose=True)
    add_images(dataset, reds[:3])
    for sample in dataset.iter_samples(autosave=True):
        sample["boxes"] = fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 1, 1])])
    compute_memorability(dataset, "plain", patches_field="boxes", scorer=upright)
    compute_memorability(dataset, "mem", patches_field="boxes", scorer=upright, distributed="dask")
    assert dataset.values("boxes.detections.mem") == dataset.values("boxes.detections.plain")
    assert None not in dataset.values("boxes.detections.mem", unwind=True)


def test_another_kind_of_cluster_is_refused(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds)
    with pytest.raises(OptionError, match="a cluster is 'ray' or 'dask', not 'spark'"):
        compute_memorability(dataset, scorer=red, distributed="spark")  # type: ignore[arg-type]
    assert not dataset.has_field("memorability")
