"""`python -m benchmarks.selection`: what `select` takes, and what it gives, beside random, the top and k-centre.

100,000 embeddings of 256 numbers in 2,000 clusters, 30 % of them near-duplicates of another; scores that differ by
cluster. Mean score: of what was selected. Covered: the mean distance from any image to the nearest selected one, lower
is better. Near pairs: selected images with a near-duplicate among the selected.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np
import pandas as pd

from resmem_plugin.curation import near_duplicate_groups, select
from resmem_plugin.curation.diversity import unit_vectors

_NEAR = 0.25


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--select", type=int, default=1000)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    count = options.images
    centres = random.normal(size=(count // 50, 256))
    cluster = random.integers(len(centres), size=count)
    embeddings = (centres[cluster] + 0.8 * random.normal(size=(count, 256))).astype(np.float32)
    copies = random.permutation(count)[: int(0.3 * count)]
    embeddings[copies] = embeddings[random.integers(count, size=len(copies))]
    embeddings[copies] += 0.05 * random.normal(size=(len(copies), 256)).astype(np.float32)
    quality = random.normal(0.75, 0.06, len(centres))[cluster] + random.normal(0, 0.05, count)
    frame = pd.DataFrame({"memorability": np.clip(quality, 0, 1)})
    vectors = unit_vectors(embeddings)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} embeddings of 256 numbers, {options.select:,} selected; {before_mb:.0f} MB before\n")
    print("| | seconds | mean score | covered | near pairs |\n|---|---|---|---|---|")
    variants: dict[str, dict[str, Any]] = {
        "random": {"strategy": "random", "near_duplicates": "keep"},
        "top": {"strategy": "top", "near_duplicates": "keep"},
        "top, best of near-duplicates": {"strategy": "top"},
        "balanced, strength 0.25": {"strength": 0.25},
        "balanced, strength 0.5": {"strength": 0.5},
        "balanced, strength 0.75": {"strength": 0.75},
        "k_centre": {"strategy": "k_centre", "near_duplicates": "keep"},
    }
    for name, arguments in variants.items():
        start_s = time.perf_counter()
        rows = select(frame, options.select, embeddings=embeddings, near_distance=_NEAR, **arguments)
        took_s = time.perf_counter() - start_s
        chosen = vectors[rows.index]
        nearest = np.concatenate([(part @ chosen.T).max(axis=1) for part in np.array_split(vectors, 50)])
        covered = np.sqrt(np.maximum(2 - 2 * nearest, 0)).mean()
        pairs = int((near_duplicate_groups(chosen, _NEAR) >= 0).sum())
        mean = frame["memorability"].iloc[rows.index].mean()
        print(f"| {name} | {took_s:.1f} | {mean:.3f} | {covered:.3f} | {pairs} |", flush=True)
    start_s = time.perf_counter()
    groups = near_duplicate_groups(embeddings, _NEAR)
    print(f"\nnear_duplicate_groups: {groups.max() + 1:,} groups in {time.perf_counter() - start_s:.1f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
