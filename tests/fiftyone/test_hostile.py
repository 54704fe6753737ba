"""Hostile datasets and App users: their texts are escaped, and operators read no files that they name."""

from __future__ import annotations

import contextlib
import json
import pickle
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, ExecutionError, Executor
from markdown_it import MarkdownIt

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.scoring import scorer as scorer_module
from resmem_plugin.fiftyone import MemorabilityModel, compute_memorability
from resmem_plugin.fiftyone.app import OPERATORS
from resmem_plugin.fiftyone.app.text import code_span, escape_markdown
from tests.fiftyone.app.panel_driver import PanelDriver
from tests.http_server import IMAGE, WebServer
from tests.models import Red
from tests.test_security import HOSTILE, Order

PLUGIN = "@resmem/memorability"
MARKUP = (
    *HOSTILE,
    "![x](http://host/x.png)",
    "[press](javascript:alert(1))",
    "x](javascript:alert(1))",
    "` ![x](http://host/x.png) `",
    "a\n\n# title\n\n- ![x](http://host/x.png)",
    "<https://host>",
    "\\![x](http://host/x.png)",
    "**bold** [x]: http://host",
)
ANSWERS = {
    *(
        "memorability_field",
        "patches_field",
        "overwrite",
        "advanced",
        "batch_size",
        "num_workers",
        "device",
        "precision",
    ),
    *("order", "which", "amount", "count", "percent", "low", "high", "class_field", "result", "name"),
    *("gt_field", "method", "resnet", "epochs", "learning_rate", "split_tags", "weights_name"),
    *("baseline", "explanation_field", "bins", "reference", "diversity", "embeddings", "away_from_tag"),
}
"""All inputs of the operators' forms."""


def _elements(markdown: str) -> set[str]:
    """The kinds of CommonMark element that the App would render for a text."""
    kinds: set[str] = set()
    for token in MarkdownIt("commonmark", {"html": True}).parse(markdown):
        kinds.update(kind.type for kind in (token, *(token.children or ())))
    return {kind.removesuffix("_open") for kind in kinds if not kind.endswith("_close")}


@pytest.mark.parametrize("text", MARKUP)
def test_names_and_errors_are_escaped(text: str) -> None:
    assert _elements(f"It is {escape_markdown(text)}.") == {"paragraph", "inline", "text"}
    assert _elements(f"It is {code_span(text)}.") == {"paragraph", "inline", "text", "code_inline"}
    assert "\x1b" not in escape_markdown(text) + code_span(text)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, red: Scorer) -> Scorer:
    monkeypatch.setattr(scorer_module, "load_engine", lambda *_: red.engine)
    return red


def _context(dataset: Any, params: dict[str, Any]) -> ExecutionContext:
    request = {"dataset_name": dataset.name, "params": params, "sample_selection_style": {}}
    return ExecutionContext(request, executor=Executor())


def _markdown(shown: Any) -> list[str]:
    """The texts of an operator's or panel's output that the App renders as Markdown."""
    if isinstance(shown, list):
        return [text for item in shown for text in _markdown(item)]
    if not isinstance(shown, dict):
        return []
    texts = [shown[key] for key in ("label", "description", "caption") if isinstance(shown.get(key), str)]
    if (shown.get("view") or {}).get("name") == "MarkdownView":
        texts.append(shown.get("default") or "")
    return [*texts, *(text for value in shown.values() for text in _markdown(value))]


@pytest.mark.parametrize("text", MARKUP)
def test_dataset_info_is_escaped(dataset: Any, reds: list[str], red: Scorer, text: str) -> None:
    dataset.add_sample(fo.Sample(filepath=reds[0]))
    compute_memorability(dataset, scorer=red)
    field = dataset.get_field("memorability")
    field.info = {"resmem": dict.fromkeys(field.info["resmem"], text)}
    field.save()
    info = foo.get_operator(f"{PLUGIN}/memorability_info")
    context = _context(dataset, {})
    context.request_params["results"] = info.execute(context)
    driver = PanelDriver(foo.get_operator(f"{PLUGIN}/memorability_panel"), dataset)
    driver.event("on_load")
    in_panel = [text for text in driver.data.values() if isinstance(text, str)]  # shown by Markdown views
    shown = [*_markdown(info.resolve_output(context).to_json()), *in_panel]
    assert any(text in shown_text or "ResMem, " in shown_text for shown_text in in_panel)
    assert any("provenance" in text for text in shown)
    for text in shown:
        assert not _elements(text) & {"image", "link", "html_inline", "html_block"}


def test_names_of_failed_images_are_escaped(dataset: Any, stand_in: Scorer) -> None:
    names = [f"/none/{text.replace('/', '_')}" for text in MARKUP]
    dataset.add_samples([fo.Sample(filepath=f"{name}.png") for name in names])
    operator = foo.get_operator(f"{PLUGIN}/compute_memorability")
    steps = [step.body.to_json() for step in operator.execute(_context(dataset, {}))]
    (shown,) = [step["params"] for step in steps if step["operator_uri"] == "show_output"]
    texts = _markdown(shown)
    assert any("**Failed**" in text for text in texts)
    for text in texts:
        assert not _elements(text) & {"image", "link", "html_inline", "html_block"}


class _Answers(dict[str, Any]):
    """A form's parameters, which record what is read from them."""

    asked: set[str]

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_accept_no_paths(
    dataset: Any, reds: list[str], stand_in: Scorer, operator: Any, tmp_path: Path
) -> None:
    """Parameters that no form has cannot read or write files or load anything."""
    dataset.add_samples([fo.Sample(filepath=path) for path in reds])
    compute_memorability(dataset, scorer=stand_in)
    evil, made = tmp_path / "evil.pt", tmp_path / "made"
    evil.write_bytes(pickle.dumps(Order(made)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    more = {
        **dict.fromkeys(("weights", "model", "model_path", "scorer"), str(evil)),
        **dict.fromkeys(("output", "html", "path", "filepath", "root", "cache", "cache_dir"), str(made)),
        "storage_options": {"anon": True},
    }
    params = _Answers(more, memorability_field="memorability", result="tag", name="x")
    params.asked = set()
    context = _context(dataset, params)
    context.params = params
    running = operator()
    for ask in (running.resolve_input, running.execute):
        with contextlib.suppress(OptionError):  # what is needed is not given
            done = ask(context)
            if hasattr(done, "__next__"):
                list(done)
    assert params.asked <= ANSWERS | {"view_target", "panel_id"}  # the last two are FiftyOne's own
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["../../etc/passwd", "$where", "a.b", "memorability\x00", "filepath", "_id", "", " "])
@pytest.mark.parametrize("operator", ["sort_by_memorability", "select_by_memorability", "delete_memorability"])
def test_invalid_fields_are_rejected(dataset: Any, reds: list[str], red: Scorer, operator: str, name: str) -> None:
    dataset.add_sample(fo.Sample(filepath=reds[0]))
    compute_memorability(dataset, scorer=red)
    schema = json.dumps(sorted(dataset.get_field_schema()))
    uri = f"{PLUGIN}/{operator}"
    with pytest.raises(OptionError, match="is not a memorability field"):
        foo.get_operator(uri)(dataset, name)
    with pytest.raises(ExecutionError):  # FiftyOne looks at the form itself
        foo.execute_operator(uri, {"dataset": dataset}, params={"memorability_field": name})
    dataset.reload()
    assert json.dumps(sorted(dataset.get_field_schema())) == schema


def test_url_limits_apply_to_datasets(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """FiftyOne turns its samples' URLs into local paths, but accepts a model that reads them."""
    monkeypatch.setenv("RESMEM_TIMEOUT_S", "0.3")
    monkeypatch.setenv("RESMEM_MAX_BYTES", str(len(IMAGE) + 1))
    model = MemorabilityModel(scorer=Scorer(device="cpu", model=Red()))
    found = model.predict_all([web.url(path) for path in ("stalled", "endless", "always/404", "a.jpg")])
    assert found[:3] == [None] * 3
    assert found[3] is not None
    for words in ("no response within", "larger than", "nothing at this URL"):
        assert words in caplog.text
