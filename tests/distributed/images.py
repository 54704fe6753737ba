"""200 rows to score by Ray, Dask and pandas: photographs, with failures among them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

ROWS, PHOTOGRAPHS = 200, 12


def rows(photos: dict[str, Path], folder: Path) -> pd.DataFrame:
    """A frame of `path` and `id`; every tenth row fails, for one of four reasons."""
    (folder / "text.jpg").write_text("not an image")
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes(photos["coffee.png"].read_bytes()[:2000])
    failing = [str(folder / name) for name in ("text.jpg", "empty.png", "cut.png", "missing.png")]
    paths = [str(path) for path in photos.values()][:PHOTOGRAPHS]
    return pd.DataFrame(
        {
            "path": [
                failing[row // 10 % len(failing)] if row % 10 == 9 else paths[row % len(paths)] for row in range(ROWS)
            ],
            "id": range(ROWS),
        }
    )
