"""The operator `select_by_memorability`."""

from __future__ import annotations

import os
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone.app.select_form import (
    RESULTS,
    build_select_form,
    new_file_error,
    noun,
    saved_view_name_error,
    selection_of,
)
from resmem_plugin.fiftyone.app.text import format_count
from resmem_plugin.fiftyone.app.widgets import guard_form
from resmem_plugin.fiftyone.dataset.diverse import diverse_view
from resmem_plugin.fiftyone.dataset.schema import root_dataset
from resmem_plugin.fiftyone.dataset.views import Which, select_view


class SelectByMemorability(foo.Operator):
    """Selects the most or least memorable as a view, a saved view or a tag."""

    @property
    def config(self) -> Any:
        """How the App shows and runs it."""
        return foo.OperatorConfig(
            name="select_by_memorability",
            label="Select by memorability",
            description="The most or least memorable, or a range of scores, as a view, a saved view or a tag",
            icon="filter_list",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def __call__(
        self,
        samples: Any,
        memorability_field: str | None = None,
        *,
        which: Which = "top",
        count: int | None = None,
        percent: float | None = None,
        low: float | None = None,
        high: float | None = None,
        class_field: str | None = None,
        saved_view: str | None = None,
        tag: str | None = None,
        paths: str | os.PathLike[str] | None = None,
        diversity: float = 0,
        embeddings: str | None = None,
        away_from_tag: str | None = None,
    ) -> Any:
        """Select from a collection.

        Args:
            samples: a dataset or view that has been scored.
            memorability_field: the memorability field; None: the default one.
            which: "top", the most memorable first, or "bottom".
            count: how many.
            percent: percentage of the samples with a score, above 0 to 100.
            low: the lowest score to include.
            high: the highest score to include.
            class_field: select `count` or `percent` per class of this label or string field.
            saved_view: save the view under this name.
            tag: add this tag to its samples.
            paths: write the paths of its images to this file, which must not exist yet, one on a line.
            diversity: above 0 to 1, with `count`: of the memorable samples those that are unlike each other, and of
                near-duplicates only the best; see `diverse_view`.
            embeddings: what diversity is measured by: a field of embeddings or the brain key of a similarity index;
                None: the outputs of ResMem's ResNet, computed now.
            away_from_tag: with `diversity`: nothing that has this tag, or is near to what has it.

        Returns:
            The view.

        Raises:
            OptionError: for a field that does not exist, invalid limits, or a saved view that exists.

        Examples:
            >>> import fiftyone as fo
            >>> from resmem_plugin.fiftyone import compute_memorability
            >>> from resmem_plugin.fiftyone.app.select import SelectByMemorability
            >>> dataset = fo.Dataset.from_images(["rocket.jpg", "coffee.png", "chelsea.png"], progress=False)
            >>> _ = compute_memorability(dataset)
            >>> view = SelectByMemorability()(dataset, count=2, tag="memorable")
            >>> [round(score, 2) for score in view.values("memorability")]
            [0.88, 0.84]
            >>> dataset.count_sample_tags()
            {'memorable': 2}
        """
        if paths is not None:
            problem = new_file_error(os.fspath(paths))
            if problem:
                raise OptionError(problem)
        if saved_view is not None:
            problem = saved_view_name_error(root_dataset(samples), saved_view)
            if problem:
                raise OptionError(problem)
        if not diversity and (embeddings is not None or away_from_tag is not None):
            raise OptionError("embeddings and away_from_tag are for diversity: give it a value above 0")
        if diversity:
            if count is None or (percent, low, high) != (None, None, None):
                raise OptionError("diversity needs count, and neither percent nor a range")
            view = diverse_view(
                samples,
                memorability_field,
                count=count,
                strength=diversity,
                which=which,
                class_field=class_field,
                embeddings=embeddings,
                away_from_tag=away_from_tag,
            ).view
        else:
            view = select_view(
                samples,
                memorability_field,
                which=which,
                count=count,
                percent=percent,
                low=low,
                high=high,
                class_field=class_field,
            )
        if saved_view is not None:
            root_dataset(samples).save_view(saved_view, view)
        if tag is not None:
            tag_all = view.tag_labels if view._is_patches else view.tag_samples  # patches are not persistent
            tag_all(tag.strip())
        if paths is not None:
            with replacing(paths) as unfinished:
                unfinished.write_text("".join(f"{path}\n" for path in view.values("filepath")), encoding="utf-8")
        return view

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        guard_form(inputs, lambda: build_select_form(ctx, inputs))
        return types.Property(
            inputs, view=types.PromptView(label="Select by memorability", submit_button_label="Select")
        )

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Select, and return the view's stages and size."""
        result, name = ctx.params.get("result", "view"), str(ctx.params.get("name") or "").strip()
        if result not in RESULTS or (result != "view" and not name):
            raise OptionError(f"result must be one of {', '.join(RESULTS)}, the last two with a name, not {result!r}")
        view = self(
            ctx.target_view(),
            **selection_of(ctx),
            saved_view=name if result == "saved_view" else None,
            tag=name if result == "tag" else None,
            paths=name if result == "paths" else None,
        )
        ctx.ops.set_view(view)
        if result == "tag":
            ctx.ops.reload_dataset()
        selected = len(view)
        done = {"saved_view": f"saved as {name!r}", "tag": f"tagged {name!r}", "paths": f"written to {name}"}
        ctx.ops.notify(f"{format_count(selected, noun(view))} {done.get(result, 'selected')}", variant="success")
        return {"view": view._serialize(), "selected": selected}
