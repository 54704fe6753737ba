"""The commands of `resmem` that need FiftyOne: `resmem plugin` and `resmem app`."""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import TYPE_CHECKING, Any

from resmem_plugin.cli.images import add_exclude_option
from resmem_plugin.cli.terminal import echo_err, working
from resmem_plugin.core.engines.base import DEVICES_TEXT
from resmem_plugin.core.engines.resolve import PRECISIONS
from resmem_plugin.core.errors import OptionError
from resmem_plugin.jobs.inputs import read_inputs

if TYPE_CHECKING:
    from resmem_plugin.fiftyone import Summary


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subparsers."""
    plugin = commands.add_parser(
        "plugin",
        help="install the plugin into FiftyOne, or uninstall it",
        description="Install the plugin into FiftyOne: a folder in its plugins folder that points to this package.",
    )
    plugin.set_defaults(run=_plugin)
    plugin.add_argument(
        "action",
        choices=("install", "uninstall", "path"),
        help="write or update the folder; remove it; or print where FiftyOne finds the plugin",
    )

    app = commands.add_parser(
        "app",
        help="score a folder and open it in the FiftyOne App",
        description="Score a folder's images into a persistent FiftyOne dataset, and open it in the App until Ctrl-C, "
        "the most memorable first. Running it again adds new images and keeps existing scores.",
        epilog="Exit code: 0 all scored, 1 some failed, 2 wrong usage, 130 interrupted before the App opened.",
    )
    app.set_defaults(run=_app)
    app.add_argument("folder", metavar="FOLDER", help="a folder of images; as in `resmem score`")
    app.add_argument("-r", "--recursive", action="store_true", help="include subfolders")
    add_exclude_option(app)
    app.add_argument("--name", help="the dataset's name (default: the folder's)")
    app.add_argument("--overwrite", action="store_true", help="score all images again, with these options")
    app.add_argument(
        "--address", default="127.0.0.1", help="address to serve the App at (default: 127.0.0.1, this machine only)"
    )
    app.add_argument("--port", type=_port, default=5151, metavar="N", help="port to serve the App at (default: 5151)")
    app.add_argument("--no-browser", action="store_true", help="do not open a browser")
    app.add_argument(
        "--batch-size", type=int, metavar="N", help="images per forward pass (default: what is fastest on the device)"
    )
    app.add_argument("--num-workers", type=int, metavar="N", help="images decoded at once (default: one per core)")
    app.add_argument("--device", default="auto", help=f"{DEVICES_TEXT} (default: auto)")
    app.add_argument("--precision", default="auto", help=f"{', '.join(PRECISIONS)} (default: auto)")
    app.add_argument("-q", "--quiet", action="store_true", help="hide the progress bar")


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port


def _plugin(options: argparse.Namespace) -> int:
    from resmem_plugin.fiftyone.setup.install import NAME, find_copies, install, is_disabled, uninstall

    if options.action == "uninstall":
        removed = uninstall()
        echo_err(f"removed {removed}" if removed else "the plugin is not installed: nothing to remove")
        return 0
    if options.action == "install":
        print(install())
        echo_err(f"installed {NAME}; next: `fiftyone app launch`, open a dataset, and press the button above the grid")
    else:
        copies = find_copies()
        if not copies:
            echo_err("error: the plugin is not installed in FiftyOne: install it with `resmem plugin install`")
            return 1
        print(copies[0].folder)
        if not copies[0].current:
            echo_err(
                "warning: this was installed by another version of this package: update it with `resmem plugin install`"
            )
        for other in copies[1:]:
            echo_err(f"warning: there is another copy in {other.folder}, which FiftyOne ignores: {other.removal}")
    if is_disabled():
        echo_err(f"warning: the plugin is disabled: enable it with `fiftyone plugins enable {NAME}`")
    return 0


def _app(options: argparse.Namespace) -> int:
    if not os.path.isdir(options.folder):
        raise OptionError(f"{options.folder} is not a folder: name a folder of images")
    folder = os.path.abspath(options.folder)
    with working(f"looking for images in {folder}"):
        _, images = read_inputs(
            [folder], path_column="path", root=None, recursive=options.recursive, null=False, exclude=options.exclude
        )
    with working("starting FiftyOne and its database"):
        from resmem_plugin.fiftyone.setup import launch

        launch.check_address(options.address, options.port)
        launch.connect()
    with working(f"adding {len(images):,} images to its dataset"):
        dataset, skipped = launch.folder_dataset(folder, [str(path) for path in images], name=options.name)
    if skipped:
        echo_err(f"warning: {skipped} images are skipped: FiftyOne cannot store file names that are not UTF-8")
    summary = _score(dataset, options)

    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        with working("starting the App"):
            installed = stack.enter_context(launch.ensure_plugin())
            where = {"address": options.address, "port": options.port, "browser": not options.no_browser}
            session = stack.enter_context(launch.app_session(dataset, summary.field, **where))
        echo_err(f"the App is at {session.url}, its dataset is {dataset.name!r}; Ctrl-C ends it")
        if not installed:
            echo_err("the plugin is installed for this session only: keep it with `resmem plugin install`")
        session.wait(-1)
    return int(skipped + summary.failed > 0)


def _score(dataset: Any, options: argparse.Namespace) -> Summary:
    """Score the images that have no score yet, and report the result."""
    from resmem_plugin.core.scoring.options import ScorerOptions
    from resmem_plugin.fiftyone.compute import finish, prepare
    from resmem_plugin.fiftyone.dataset.schema import DEFAULT_FIELD

    scorer_options = ScorerOptions(
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
    )
    try:
        with working("loading ResMem (the first time its network is converted)"):
            run = prepare(
                dataset,
                DEFAULT_FIELD,
                patches_field=None,
                overwrite=options.overwrite,
                skip_failures=True,
                options=scorer_options,
            )
        summary = finish(run, False if options.quiet else None)
    except KeyboardInterrupt:
        echo_err("the scores so far are kept: run the same command to continue")
        raise
    before = f", {summary.skipped} were scored already" if summary.skipped else ""
    failed = f", {summary.failed} failed: see the field {summary.field}_error" if summary.failed else ""
    echo_err(f"{summary.scored} of {summary.total} scored{before}{failed}")
    return summary
