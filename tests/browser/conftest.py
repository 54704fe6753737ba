from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.browser.pages import App
from tests.browser.server import AppServer

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the App requests fonts from the internet
]
WINDOW = (1600, 950)

Serve: TypeAlias = Callable[[str | None], AppServer]
Open: TypeAlias = Callable[[AppServer, Any], App]
MakeDataset: TypeAlias = Callable[[Iterable[Path]], Any]

_opened = pytest.StashKey[list[App]]()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, one per module: while it runs, this thread has a running event loop."""
    if CHROMIUM is None:
        reason = "there is no program `chromium` on the path: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-cy")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def serve(chromium: Browser, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts the App's server, one for each stand-in; None: the real network."""
    servers: dict[str | None, AppServer] = {}

    def start(stand_in: str | None) -> AppServer:
        if stand_in not in servers:
            servers[stand_in] = AppServer(tmp_path_factory.mktemp("server"), stand_in)
        return servers[stand_in]

    yield start
    for server in servers.values():
        server.stop()


@pytest.fixture
def make_dataset(database: str) -> Iterator[MakeDataset]:
    """Creates FiftyOne datasets from paths, in the database of the App's server."""
    import fiftyone as fo

    made: list[Any] = []

    def make(paths: Iterable[Path]) -> Any:
        dataset = fo.Dataset(f"browser-{uuid.uuid4().hex[:8]}", persistent=True)
        made.append(dataset)
        dataset.add_samples([fo.Sample(str(path)) for path in paths], progress=False)
        return dataset

    yield make
    for dataset in made:
        dataset.delete()


@pytest.fixture
def open_app(chromium: Browser, make_dataset: MakeDataset, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a dataset in a new window, as another user would; windows are closed before it is deleted."""
    opened: list[App] = request.node.stash.setdefault(_opened, [])

    def open_one(server: AppServer, dataset: Any) -> App:
        page = chromium.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
        opened.append(App(page, server.address))
        opened[-1].open(dataset.name)
        return opened[-1]

    yield open_one
    for app in opened:
        app.page.close()


@pytest.fixture
def take_screenshot() -> Callable[[App, str], None]:
    """Saves a screenshot of the App for the README, if RESMEM_SCREENSHOTS names a folder."""

    def take(app: App, name: str) -> None:
        folder = os.environ.get("RESMEM_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            app.screenshot(Path(folder) / f"{name}.png")

    return take


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the windows showed to a failure's report."""
    report = yield
    if report.when == "call" and report.failed:
        folder = Path(tempfile.mkdtemp(prefix="resmem-browser-"))
        opened: list[App] = item.stash.get(_opened, [])
        for number, app in enumerate(opened):
            path = folder / f"{item.name}-{number}.png"
            try:
                app.screenshot(path)
                text = f"screenshot: {path}\nnotices: {app.notices}\nprogress: {app.progress}\nconsole: {app.errors}"
            except Error as error:
                text = f"no screenshot: {error}\nconsole: {app.errors}"
            report.sections.append((f"window {number}", text))
    return report
