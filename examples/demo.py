"""`make demo`: the photographs that scikit-image and scikit-learn install, scored and ranked."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from resmem_plugin.core.errors import MissingPackageError

PHOTOGRAPHS = {
    "skimage": (
        "data",
        "astronaut.png brick.png camera.png cell.png chelsea.png coffee.png coins.png grass.png gravel.png "
        "hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png retina.jpg rocket.jpg",
    ),
    "sklearn": ("datasets/images", "china.jpg flower.jpg"),
}


def photographs() -> list[Path]:
    """Photographs that the installed scikit-image and scikit-learn hold, 640x427 to 1411x1411, colour and grey.

    Raises:
        MissingPackageError: if one of them is not installed.
    """
    found = []
    for package, (folder, names) in PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise MissingPackageError(f'the photographs come with {package}: pip install "resmem-plugin[all]"')
        found += [Path(spec.origin).parent / folder / name for name in names.split()]
    return [path for path in found if path.is_file()]


def main(folder: str) -> int:
    """Copy the photographs to a folder, score them through the `resmem` command, and print what to try next."""
    import pandas as pd

    from resmem_plugin.cli import main as resmem

    photographs_folder = Path(folder) / "photographs"
    photographs_folder.mkdir(parents=True, exist_ok=True)
    for path in photographs():
        shutil.copy(path, photographs_folder)
    table, gallery = Path(folder) / "scores.csv", Path(folder) / "gallery.html"
    print(f"$ resmem score {photographs_folder} -o {table} --html {gallery} --overwrite")
    code = resmem(["score", str(photographs_folder), "-o", str(table), "--html", str(gallery), "--overwrite"])
    if code:
        return code
    ranked = pd.read_csv(table).sort_values("memorability", ascending=False)
    print("\nmemorability  photograph")
    for path, memorability in zip(ranked["path"], ranked["memorability"], strict=True):
        print(f"{memorability:12.3f}  {Path(path).name}")
    print(f"\nThe images with their scores: open {gallery} in a browser.")
    print("Next, look at them in the FiftyOne App: make app")
    print("Or try your own:")
    print("  .venv/bin/resmem score --recursive ~/Pictures --html gallery.html")
    print("  .venv/bin/python -m pip install jupyterlab && .venv/bin/jupyter lab notebooks")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
