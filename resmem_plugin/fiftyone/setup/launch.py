"""Opens a folder of scored images in the FiftyOne App, for `resmem app`."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from resmem_plugin.core.errors import OptionError, ResMemError
from resmem_plugin.fiftyone.setup.database import find_database
from resmem_plugin.fiftyone.setup.install import find_copies, import_fiftyone, plugins_folder, write

_FOLDER_INFO = "resmem_folder"
"""The key in a dataset's info for the folder that it was created from."""

_PANEL = "memorability_panel"


def check_address(address: str, port: int) -> None:
    """Check that the App can be served at an address, before anything is scored.

    Raises:
        OptionError: if something else listens on the port, or this machine does not have the address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except OSError as error:
        raise OptionError(
            f"the App cannot be served at {address}, port {port} ({error.strerror}): close the program that uses "
            "the port, perhaps another App, or pass a free port with --port, an address of this machine with --address"
        ) from error


def connect() -> Any:
    """Import FiftyOne and start its database; returns the module.

    Raises:
        MissingPackageError: if FiftyOne is not installed, or has no database that runs here.
        ResMemError: if its database does not answer.
    """
    fo = import_fiftyone()
    find_database()
    try:
        fo.list_datasets()
    except Exception as error:  # pymongo's, FiftyOne's own, a timeout, a folder that cannot be written
        raise ResMemError(
            f"FiftyOne's database does not answer ({type(error).__name__}: {str(error).partition(chr(10))[0]}): "
            f"{os.path.join(fo.config.database_dir, 'log', 'mongo.log')} may say why; set FIFTYONE_DATABASE_DIR to "
            "another folder for it, or FIFTYONE_DATABASE_URI to your own server"
        ) from error
    return fo


def folder_dataset(folder: str, images: Sequence[str], *, name: str | None = None) -> tuple[Any, int]:
    """Create the persistent dataset of a folder, or load it, and add the images that it does not have yet.

    Args:
        folder: the folder; the dataset is named after it.
        images: paths of images in the folder, whatever their suffix.
        name: another name for the dataset.

    Returns:
        The dataset, and how many images were not added because their paths are not UTF-8.

    Raises:
        OptionError: if a dataset of this name exists that was not created from this folder, or the name is invalid.
    """
    fo = connect()
    origin = os.path.realpath(folder)
    name = name or os.path.basename(origin)
    if not name:
        raise OptionError(f"{folder} has no name to use for the dataset: choose one with --name")
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        if len(dataset) and dataset.info.get(_FOLDER_INFO) != origin:
            raise OptionError(
                f"FiftyOne already has a dataset {name!r}, created from "
                f"{dataset.info.get(_FOLDER_INFO, 'something else')}: choose another name with --name"
            )
    else:
        try:
            dataset = fo.Dataset(name)
        except ValueError as error:  # the name becomes part of a URL, which may be empty or exist already
            raise OptionError(f"FiftyOne rejects the name {name!r} ({error}): choose another with --name") from error
    dataset.persistent = True
    dataset.info[_FOLDER_INFO] = origin
    dataset.save()
    paths = [path for path in map(os.path.abspath, images) if _is_utf8(path)]
    if dataset.media_type == "unknown":  # an earlier version added images whose suffix FiftyOne does not know
        dataset.clear()
        dataset.media_type = "image"
    existing = set(dataset.values("filepath"))
    # FiftyOne knows media by their suffix, and not those of every image, such as .tga.
    new = [fo.Sample(filepath=path, media_type="image") for path in paths if path not in existing]
    dataset.add_samples(new, progress=False)
    return dataset, len(images) - len(paths)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def ensure_plugin() -> Iterator[bool]:
    """Ensure that an App started in this context has the plugin; yields whether the plugin was installed already.

    If it was not, FiftyOne uses a temporary plugins folder with this plugin and links to the installed ones.
    """
    fo = import_fiftyone()
    if find_copies():
        yield True
        return
    before, configured = os.environ.get("FIFTYONE_PLUGINS_DIR"), fo.config.plugins_dir
    with tempfile.TemporaryDirectory(prefix="resmem-app-") as folder:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(plugins_folder()):
                os.symlink(entry.path, os.path.join(folder, entry.name))
        write(Path(folder) / "resmem-memorability-plugin")
        os.environ["FIFTYONE_PLUGINS_DIR"] = fo.config.plugins_dir = folder
        try:
            yield False
        finally:
            fo.config.plugins_dir = configured
            os.environ.pop("FIFTYONE_PLUGINS_DIR")
            if before is not None:
                os.environ["FIFTYONE_PLUGINS_DIR"] = before


@contextlib.contextmanager
def app_session(dataset: Any, field: str, *, address: str, port: int, browser: bool) -> Iterator[Any]:
    """Serve the App, with the most memorable images first and the panel beside the grid; yields FiftyOne's session.

    Raises:
        ResMemError: if the App does not start.
    """
    fo = import_fiftyone()
    from fiftyone.core.session import client

    grid, panel = fo.Panel(type="Samples", pinned=True), fo.Panel(type=_PANEL)
    spaces = fo.Space(
        children=[
            fo.Space(children=[grid], active_child=grid.component_id),
            fo.Space(children=[panel], active_child=panel.component_id),
        ],
        orientation="horizontal",
        sizes=[0.6, 0.4],
    )
    if not dataset.app_config.active_fields:  # show the score on every image, unless fields were selected before
        dataset.app_config.active_fields = fo.ActiveFields(paths=[field])
        dataset.save()
    view = dataset.sort_by(field, reverse=True)
    client.print = lambda *_: None  # it says that it "could not connect" while the server starts
    try:
        session = fo.Session(view=view, spaces=spaces, address=address, port=port, remote=not browser)
    except Exception as error:  # FiftyOne reports a server that exits at once as a timeout
        raise ResMemError(
            f"FiftyOne's App did not start ({type(error).__name__}: {error}): `fiftyone app launch` may show more"
        ) from error
    try:
        yield session
    finally:
        session.close()
