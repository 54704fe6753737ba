"""One run of `resmem score --distributed`: score the shards that are not finished, and record their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from resmem_plugin.core.errors import ResMemError
from resmem_plugin.distributed.shard_folder import Finished, ShardFolder
from resmem_plugin.distributed.workers import start_workers
from resmem_plugin.jobs.job import Outcome
from resmem_plugin.jobs.signals import exit_code

if TYPE_CHECKING:
    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.core.scoring.progress import ProgressOption
    from resmem_plugin.core.scoring.scorer import Scorer
    from resmem_plugin.distributed.shard_input import Shard, ShardInput
    from resmem_plugin.distributed.workers import Cluster


@dataclass
class DistributedJob:
    """One run over the shards of an input.

    Attributes:
        folder: where the shards are written.
        cluster: which scores them.
        retry_failed: score shards with failures again.
    """

    folder: ShardFolder
    cluster: Cluster
    retry_failed: bool = False

    def __post_init__(self) -> None:
        self._done: dict[str, Finished | None] = {}  # None: under way
        self._order: list[str] = []
        self._skipped = 0

    def run(self, shards: ShardInput, options: ScorerOptions | Scorer, progress: ProgressOption = None) -> Outcome:
        """Score the shards that are not finished; this process writes each once it is done.

        Args:
            shards: of the input, in its order.
            options: how to score; or a `Scorer`, for a network of your own.
            progress: a bar on a terminal by default, over all images, those of finished shards too.

        Raises:
            OptionError: if the input, the cluster or the options do not fit.
            WeightsError: if a worker cannot load the weights.
        """
        from resmem_plugin.core.scoring.progress import reporting

        try:
            with reporting(progress, shards.total) as report:
                to_score = self._to_score(shards, report)
                first = next(to_score, None)
                if first is not None:  # a wrong input is told, and a finished one is done, before a cluster starts
                    self._score(chain([first], to_score), options, report)
        except KeyboardInterrupt as stop:
            return Outcome(exit_code(stop), [f"interrupted: {self._kept()}"])
        except ResMemError:  # of the input or the options, or of the weights on a worker
            raise
        except Exception as error:  # a batch that kills its workers, or a full disk, say
            reason = (str(error) or type(error).__name__).strip().splitlines()
            return Outcome(1, [f"error: {type(error).__name__}: {reason[0]}; {self._kept()}"])
        return self._finish()

    def _score(self, shards: Iterable[Shard], options: ScorerOptions | Scorer, report: Callable[[bool], None]) -> None:
        with start_workers(self.cluster, options) as workers:
            for shard, scored in workers.map_unordered((shard, shard.images) for shard in shards):
                self._done[shard.name] = self.folder.write(shard, scored.memorability, scored.errors, scored.provenance)
                for error in scored.errors:
                    report(error is not None)

    def _to_score(self, shards: Iterable[Shard], report: Callable[[bool], None]) -> Iterator[Shard]:
        for shard in shards:
            self._order.append(shard.name)
            is_repeated = shard.name in self._done
            finished = None if is_repeated else self.folder.finished(shard.name)
            if not is_repeated and (finished is None or (self.retry_failed and finished.failed)):
                self._done[shard.name] = None
                yield shard
                continue
            if finished is not None:
                self._done[shard.name] = finished
                self._skipped += 1
            for row in range(len(shard.images)):
                report(finished is not None and row < finished.failed)

    def _finish(self) -> Outcome:
        finished = [self._done[name] for name in self._order]
        rows = sum(each.rows for each in finished if each)
        failed = sum(each.failed for each in finished if each)
        others = self.folder.finish(self._order)
        messages = []
        if self._skipped:
            messages.append(f"{self._skipped} of {len(self._done)} shards were done already")
        if others:
            messages.append(
                f"warning: {len(others)} shards in {self.folder.path} are of another input, as {others[0]}.parquet: "
                "resmem merge leaves them out"
            )
        tail = f", {failed} failed: see the error column" if failed else ""
        messages.append(
            f"{rows - failed} of {rows} scored{tail}; {len(self._done)} shards are in {self.folder.path}: "
            f"resmem merge {self.folder.path} -o FILE makes them one table"
        )
        return Outcome(int(failed > 0), messages)

    def _kept(self) -> str:
        done = sum(each is not None for each in self._done.values())
        return f"{done} shards are kept in {self.folder.path}: the same command continues from there"
