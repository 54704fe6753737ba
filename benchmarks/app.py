"""`python -m benchmarks.app click|start`: how soon the FiftyOne App answers, with a real browser and database.

`click`: a bar of the panel is clicked; the time until grid, text and bars show its samples, and the computations that
this costs. `start`: the first `resmem app` on 154 photographs, with an empty database and cache, in a terminal; the
longest time without a new word, and after which words.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from PIL import Image, ImageOps

from examples.demo import photographs
from tests.mongod import free_port, own_mongod

_IMAGES = 154
_READY = "Ctrl-C ends it"
_TIMEOUT_S = 600


def click(clicks: int) -> None:
    """Print the times of clicks on the panel's bars, over sixty scored images."""
    import fiftyone as fo
    from playwright.sync_api import Error, sync_playwright

    from resmem_plugin import Scorer
    from resmem_plugin.fiftyone import compute_memorability
    from tests.browser.conftest import CHROMIUM, FLAGS
    from tests.browser.pages import App
    from tests.browser.server import AppServer
    from tests.models import Red

    with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder, sync_playwright() as playwright:
        dataset = fo.Dataset("clicks", persistent=True)
        for number in range(60):
            path = f"{folder}/{number}.png"
            Image.new("RGB", (48, 32), (100 + number * 37 % 150, 90, 160)).save(path)
            dataset.add_sample(fo.Sample(path, scene=fo.Classification(label="abc"[number % 3])))
        compute_memorability(dataset, "mem", scorer=Scorer(device="cpu", model=Red()))
        server = AppServer(Path(folder))
        try:
            playwright.selectors.set_test_id_attribute("data-cy")
            page = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page(
                viewport={"width": 1600, "height": 950}
            )
            app = App(page, server.address)
            app.open(dataset.name)
            panel = app.open_panel("memorability_panel")
            panel.see("60 of 60 images scored")
            page.wait_for_timeout(3000)

            def wait_for(count: int) -> float:
                start_s = time.perf_counter()
                while time.perf_counter() - start_s < 60:
                    with contextlib.suppress(AssertionError, Error):  # it is being drawn
                        bars = sum(bar.count for bar in panel.bars())
                        if app.count() == count and panel.scored == (count, count) and bars == count:
                            return time.perf_counter() - start_s
                raise SystemExit("grid and panel do not agree within a minute")

            times, costs = [], []
            for number in range(clicks):
                bars = panel.bars()
                index = number % len(bars)
                before = server.log.count("computing the panel")
                panel.click_bar(index)
                times.append(wait_for(int(bars[index].count)))
                page.wait_for_timeout(1000)
                costs.append(server.log.count("computing the panel") - before)
                panel.press("Reset")
                wait_for(60)
        finally:
            server.stop()
    print("seconds until grid and panel agree:", " ".join(f"{each:.2f}" for each in times))
    print(f"median {statistics.median(times):.2f}, longest {max(times):.2f}; computations: {max(costs)} at most")


def start() -> None:
    """Print when the first start of `resmem app` says what."""
    with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder:
        images = Path(folder) / "images"
        images.mkdir()
        originals = [Image.open(path).convert("RGB") for path in photographs()]
        for number in range(_IMAGES):
            size = (640 - number, 480)
            ImageOps.fit(originals[number % len(originals)], size).save(images / f"{number}.jpg", quality=90)
        environment = os.environ | {
            "FIFTYONE_DATABASE_DIR": f"{folder}/database",
            "FIFTYONE_DO_NOT_TRACK": "true",
            "FIFTYONE_PLUGINS_DIR": f"{folder}/plugins",
            "RESMEM_CACHE_DIR": f"{folder}/cache",
        }
        command = [str(Path(sys.executable).with_name("resmem")), "app", str(images), "--no-browser"]
        screen, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))  # one without columns has no progress bar
        began_s = last_s = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--port", str(free_port())],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
        )
        silences: list[tuple[float, str]] = []
        said, before = "", "the start"
        while _READY not in said and process.poll() is None and time.perf_counter() - began_s < _TIMEOUT_S:
            if not select.select([screen], [], [], 1)[0]:
                continue
            text = os.read(screen, 4096).decode(errors="replace")
            said += text
            words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\s+", " ", text).strip()
            if words:
                now_s = time.perf_counter()
                silences.append((now_s - last_s, before))
                last_s, before = now_s, words[-60:]
        total_s = time.perf_counter() - began_s
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        os.close(terminal)
        os.close(screen)
    assert _READY in said, said
    print(f"{_IMAGES} images: {total_s:.0f} s until the App is there. The longest silences:")
    for seconds, words in sorted(silences, reverse=True)[:5]:
        print(f"  {seconds:.1f} s after {words!r}")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("click", "start"))
    parser.add_argument("--clicks", type=int, default=12)
    given = parser.parse_args()
    if given.what == "start":
        start()
    else:
        with tempfile.TemporaryDirectory(prefix="resmem-bench-") as folder, own_mongod(Path(folder)):
            link = Path(folder) / "plugins" / "resmem"
            link.parent.mkdir()
            link.symlink_to(Path(__file__).parents[1], target_is_directory=True)
            os.environ["FIFTYONE_PLUGINS_DIR"] = str(link.parent)
            click(given.clicks)


if __name__ == "__main__":
    main()
