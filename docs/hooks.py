"""mkdocs hook: the site shows files from outside docs/, under the paths they have in the repository.

So each file exists once, and the links between the pages also work where the repository is read without the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]
_OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "assets/app-form.png",
    "assets/app.png",
    "assets/explanation.jpg",
    "assets/features.jpg",
    "assets/gallery.png",
    "assets/memorability-light.svg",
    "benchmarks/RESULTS.md",
    "benchmarks/speed.svg",
    "notebooks/01_score_a_dataframe.ipynb",
    "notebooks/02_curate_with_fiftyone.ipynb",
    "notebooks/03_why_this_score.ipynb",
    "tests/corpus/README.md",
)
_LINK_TO_OUTSIDE = re.compile(rf"(\]\((?:\.\./)*)\.\./(?=(?:{'|'.join(map(re.escape, _OUTSIDE))})[)#])")


def on_files(files: Files, config: Any) -> Files:
    """Add the files from outside docs/."""
    for path in _OUTSIDE:
        files.append(File.generated(config, path, abs_src_path=str(_ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Adapt the links that lead into docs/ or out of it: on the site, docs/ is the root."""
    if page.file.src_uri in _OUTSIDE:
        return markdown.replace("](docs/", "](")
    return _LINK_TO_OUTSIDE.sub(r"\1", markdown)
