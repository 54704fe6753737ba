"""`ClusterScorer`: scores in order, as `Scorer` does, on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice

from resmem_plugin.core.errors import ScoringError
from resmem_plugin.core.provenance import Provenance
from resmem_plugin.core.scores import Score
from resmem_plugin.core.scoring.scorer import Scorer
from resmem_plugin.distributed.workers import Cluster, start_workers

_IMAGES = 64  # that a worker gets at once


class ClusterScorer:
    """Scores lazily and in order. This process loads the network too, for the provenance.

    Args:
        cluster: which scores.
        scorer: how.

    Examples:
        >>> from resmem_plugin import Scorer
        >>> from resmem_plugin.distributed.scorer import ClusterScorer
        >>> from resmem_plugin.distributed.workers import Cluster
        >>> scorer = ClusterScorer(Cluster("dask"), Scorer(device="cpu"))
        >>> [round(score.memorability, 2) for score in scorer.iter_scores(["coffee.png", "rocket.jpg"])]
        [0.88, 0.64]
    """

    def __init__(self, cluster: Cluster, scorer: Scorer) -> None:
        self._cluster, self._scorer = cluster, scorer
        self.num_workers = scorer.num_workers

    @property
    def provenance(self) -> Provenance:
        """What produces the scores."""
        return self._scorer.provenance

    def iter_scores(self, images: Iterable[object]) -> Generator[Score, None, None]:
        """Score images; see `Scorer.iter_scores`.

        Raises:
            ScoringError: if a worker's scores are of another provenance.
        """
        expected, index = self.provenance.id, 0
        lists = _lists(images)
        first = next(lists, None)
        if first is None:  # nothing to start a cluster for
            return
        with start_workers(self._cluster, self._scorer) as workers:
            for scored in workers.map(chain([first], lists)):
                if scored.provenance["provenance"] != expected:
                    raise ScoringError(
                        f"a worker's scores are of provenance {scored.provenance['provenance']}, not {expected}: give "
                        "the device and the precision that all have, and install the same weights"
                    )
                for memorability, error in zip(scored.memorability.tolist(), scored.errors, strict=True):
                    yield Score(index, memorability, error)
                    index += 1


def _lists(images: Iterable[object]) -> Iterator[list[object]]:
    rest = iter(images)
    while some := list(islice(rest, _IMAGES)):
        yield some
