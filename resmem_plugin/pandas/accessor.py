"""The pandas accessor: `df.resmem.score("path")`, `df["path"].resmem.score()`, ranking and plots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from resmem_plugin.pandas.columns import MEMORABILITY, check_options, images_of, score_column, scorer_of, select
from resmem_plugin.pandas.ranking import check_count, ranked, select_rows

if TYPE_CHECKING:
    from collections.abc import Hashable

    from matplotlib.axes import Axes
    from typing_extensions import Unpack

    from resmem_plugin.core.scoring.progress import ProgressOption
    from resmem_plugin.core.scoring.scorer import Errors, Scorer
    from resmem_plugin.pandas.columns import ScoreOptions
    from resmem_plugin.reports.gallery import Gallery


@pd.api.extensions.register_series_accessor("resmem")
@pd.api.extensions.register_dataframe_accessor("resmem")
class ResMemAccessor:
    """Memorability of the images in a column.

    A column may hold paths, URLs, encoded bytes, PIL images or uint8 arrays, with any dtype. The score of a missing
    value is NaN. On a Series, omit `column`.

    Examples:
        >>> import pandas as pd, resmem_plugin  # which registers the accessor
        >>> paths = pd.Series(["coffee.png", "chelsea.png", "rocket.jpg"], name="path")
        >>> [round(score, 2) for score in paths.resmem.score()]
        [0.88, 0.84, 0.64]
    """

    def __init__(self, data: pd.DataFrame | pd.Series[Any]) -> None:
        self._data = data

    def score(
        self,
        column: Hashable = None,
        *,
        errors: Errors = "raise",
        return_errors: bool = False,
        root: str | os.PathLike[str] | None = None,
        batch_size: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        progress: ProgressOption = None,
        storage_options: Mapping[str, Any] | None = None,
        cache: str | os.PathLike[str] | bool | None = None,
        base64: bool = False,
        scorer: Scorer | None = None,
    ) -> pd.Series[Any] | pd.DataFrame:
        """Score the images in a column. Duplicates are decoded and scored once.

        Args:
            column: label of the column. Omit it on a Series.
            errors: "raise" raises at the first image that fails, after checking that all local files exist; "coerce"
                sets its score to NaN and emits one `FailedImagesWarning` for all failures.
            return_errors: return the reasons too, as a second column, instead of warning.
            root: folder or URL that relative paths are joined to. Default: the current folder.
            batch_size: images per forward pass. Default: what is fastest on the device.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            precision: "auto", "fp32", "bf16", "fp16" or "int8", which is calibrated on a sample of the column.
            progress: True shows a bar, False none, None one on a terminal; or a function called with a `Progress`.
            storage_options: options for URLs, as in `pandas.read_csv`.
            cache: reuse the scores of earlier runs and keep new ones, as in `Scorer`.
            base64: text that is no URL is an image in base64, not a path; not with `root`.
            scorer: a `Scorer` to use instead of the options that would configure one.

        Returns:
            float32 Series "memorability" in [0, 1], aligned with the index; with `return_errors` a DataFrame
            [memorability, error].

        Raises:
            ScoringError: with `errors="raise"`; its `scores` are those so far; their `index` is the row's position.
            KeyError: if there is no such column.
            ValueError: if several columns have this label.

        Examples:
            >>> import pandas as pd
            >>> import resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "chelsea.png", "rocket.jpg"]})
            >>> [round(score, 2) for score in df.resmem.score("path")]
            [0.88, 0.84, 0.64]
            >>> df.loc[1, "path"] = "missing.png"
            >>> df.resmem.score("path", errors="coerce", return_errors=True)["error"][1]
            'no such file: ...'
        """
        table = score_column(
            self._data,
            column,
            errors=errors,
            root=root,
            batch_size=batch_size,
            device=device,
            precision=precision,
            progress=progress,
            storage_options=storage_options,
            cache=cache,
            base64=base64,
            scorer=scorer,
            warn=not return_errors,
        )
        return table if return_errors else table[MEMORABILITY]

    def top(
        self, column: Hashable = None, n: int = 10, *, by: Hashable = MEMORABILITY, **options: Unpack[ScoreOptions]
    ) -> pd.DataFrame:
        """Return the `n` most memorable rows with their scores, the most memorable first.

        Args:
            column: label of the column of images. Omit it on a Series.
            n: maximum number of rows. Rows without a score are dropped.
            by: the column to rank by. If it does not exist, the images are scored and it is added.
            options: as in `score`, if the images are scored.

        Examples:
            >>> import pandas as pd
            >>> import resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "chelsea.png", "rocket.jpg"]})
            >>> df.resmem.top("path", n=2)["path"].tolist()
            ['coffee.png', 'chelsea.png']
        """
        return ranked(self._data, column, n, by, ascending=False, options=options)

    def bottom(
        self, column: Hashable = None, n: int = 10, *, by: Hashable = MEMORABILITY, **options: Unpack[ScoreOptions]
    ) -> pd.DataFrame:
        """Return the `n` least memorable rows with their scores, the least memorable first; see `top`.

        Examples:
            >>> import pandas as pd
            >>> import resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "chelsea.png", "rocket.jpg"]})
            >>> df.resmem.bottom("path", n=1)["path"].tolist()
            ['rocket.jpg']
        """
        return ranked(self._data, column, n, by, ascending=True, options=options)

    def gallery(
        self,
        column: Hashable = None,
        *,
        by: Hashable = MEMORABILITY,
        n: int = 24,
        ascending: bool = False,
        **options: Unpack[ScoreOptions],
    ) -> Gallery:
        """Show images with their scores, in a notebook or an HTML file (`.save("gallery.html")`).

        Args:
            column: label of the column of images. Omit it on a Series.
            by: the column to rank by. If it does not exist, the images are scored.
            n: maximum number of images. Images without a score are dropped.
            ascending: the least memorable first.
            options: as in `score`; `root` and `storage_options` are used to load the thumbnails too.

        Examples:
            >>> import pandas as pd
            >>> import resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "chelsea.png", "rocket.jpg"]})
            >>> df.resmem.gallery("path", n=2)
            <Gallery 'Most memorable': 2 of 3 images; .save(path) writes it to an HTML file>
        """
        from resmem_plugin.core.provenance import Provenance
        from resmem_plugin.reports.gallery import Card, Gallery

        scorer = options.get("scorer")
        rows = ranked(self._data, column, n, by, ascending=ascending, options=options)
        images = images_of(
            rows, column if isinstance(self._data, pd.DataFrame) else rows.columns[0], options.get("root")
        )
        return Gallery(
            [Card(image, float(score)) for image, score in zip(images, rows[by], strict=True)],
            title=f"{'Least' if ascending else 'Most'} memorable" if by == MEMORABILITY else f"By {by}",
            total=len(self._data),
            provenance=Provenance.from_record(rows.attrs.get("resmem")),
            storage_options=options.get("storage_options")
            or (None if scorer is None else scorer.options.storage_options),
            base64=options.get("base64", False) or (scorer is not None and scorer.options.base64),
        )

    def explain(
        self,
        column: Hashable = None,
        method: str = "occlusion",
        *,
        n: int = 12,
        baseline: str = "blurred",
        passes: int | None = None,
        seed: int = 0,
        **options: Unpack[ScoreOptions],
    ) -> Gallery:
        """Show what raises and lowers the scores of the first images, in a notebook or an HTML file.

        Args:
            column: label of the column of images. Omit it on a Series.
            method: "occlusion", "integrated_gradients", "gradient_x_input", "smoothgrad" or "layer_cam"; see
                `resmem_plugin.explain.explain`, which also returns the maps.
            n: maximum number of images, from the first row on: each takes seconds.
            baseline: "blurred", "mean" or "blank".
            passes: through the network for each image; None: the method's own.
            seed: of SmoothGrad's noise.
            options: as in `score`; scores are not kept in a cache.

        Examples:
            >>> import pandas as pd, resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "chelsea.png"]})
            >>> df.resmem.explain("path", n=1)
            <Gallery 'What raises and lowers the score: occlusion': 1 of 2 images; ...>
        """
        from resmem_plugin.explain import explain
        from resmem_plugin.reports.explanations import explanation_gallery

        check_options(options)
        check_count(n)
        images = images_of(self._data, column, options.get("root"))
        scorer = scorer_of(options)
        explained = explain(
            images[:n],
            method,
            baseline=baseline,
            passes=passes,
            seed=seed,
            errors=options.get("errors", "raise"),
            progress=options.get("progress"),
            scorer=scorer,
        )
        return explanation_gallery(images[:n], explained, scorer, total=len(images))

    def select(
        self,
        column: Hashable = None,
        n: int = 10,
        *,
        by: Hashable = MEMORABILITY,
        strength: float = 0.5,
        per: Hashable | None = None,
        embeddings: Any = None,
        selection: Mapping[str, Any] | None = None,
        **options: Unpack[ScoreOptions],
    ) -> pd.DataFrame:
        """Select memorable images that are unlike each other; of near-duplicates only the best.

        Args:
            column: label of the column of images. Omit it on a Series.
            n: how many rows, or of each class with `per`.
            by: the column of scores. If it does not exist, the images are scored and it is added.
            strength: of diversity, 0 (memorability alone) to 1 (diversity alone).
            per: a column of classes.
            embeddings: an array (N, D) or a column of vectors; None: `image_features`, as slow as scoring.
            selection: more arguments of `resmem_plugin.curation.select`, which says what columns are added.
            options: as in `score`.

        Examples:
            >>> import pandas as pd, resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "coffee.png", "rocket.jpg"]})
            >>> df.resmem.select("path", n=3)[["path", "near_duplicates"]].values.tolist()
            [['coffee.png', [1]], ['rocket.jpg', []]]
        """
        return select_rows(self._data, column, n, by, strength, per, embeddings, selection or {}, options)

    def hist(
        self, column: Hashable = None, *, bins: int = 30, ax: Axes | None = None, **options: Unpack[ScoreOptions]
    ) -> Axes:
        """Plot a histogram of memorability with the plotting backend of pandas.

        Args:
            column: label of a column of images, which are scored, or of numbers, such as scores.
            bins: number of bins.
            ax: matplotlib Axes to draw on. Default: the current Axes, as in pandas.
            options: as in `score`.

        Examples:
            >>> import matplotlib
            >>> matplotlib.use("Agg")  # no window
            >>> import pandas as pd, resmem_plugin
            >>> df = pd.DataFrame({"path": ["coffee.png", "chelsea.png", "rocket.jpg"]})
            >>> df.resmem.hist("path", bins=10).get_xlabel()
            'memorability'
        """
        values = select(self._data, column)
        if pd.api.types.is_numeric_dtype(values):
            check_options(options)
        else:
            values = self.score(column, **options)  # type: ignore[assignment]
        return values.plot.hist(bins=bins, ax=ax, xlabel=str(values.name or MEMORABILITY), ylabel="images")
