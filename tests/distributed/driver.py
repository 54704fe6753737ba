"""`python -m tests.distributed.driver CLUSTER TABLE FOLDER`: a run of `resmem score --distributed` with a stand-in."""

from __future__ import annotations

import sys
import time
from typing import Any, cast

from torch import Tensor

from resmem_plugin import Scorer
from resmem_plugin.distributed.job import DistributedJob
from resmem_plugin.distributed.shard_folder import ShardFolder
from resmem_plugin.distributed.shard_input import read_shards
from resmem_plugin.distributed.workers import Cluster
from tests.models import Red

SHARD_ROWS = 20


class SlowRed(Red):
    """`Red`, 50 ms a batch."""

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.05)
        return super().forward(x)


def main() -> None:
    cluster, table, path = sys.argv[1:]
    folder = ShardFolder(path)
    folder.create()
    job = DistributedJob(folder, Cluster(cast("Any", cluster), workers=2))
    shards = read_shards([table], SHARD_ROWS, path_column="path", root=None)
    scorer = Scorer(device="cpu", model=SlowRed(), batch_size=4)
    outcome = job.run(shards, scorer)
    print("\n".join(outcome.messages))
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    from tests.distributed.driver import main as imported_main  # so that workers can unpickle the stand-in

    imported_main()
