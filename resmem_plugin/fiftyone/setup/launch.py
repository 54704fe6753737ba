"""A folder of pictures, scored and opened in the FiftyOne App: what `resmem app` does."""

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
"""Where a data set's info tells the folder it was made from."""

_PANEL = "memorability_panel"


def check_address(address: str, port: int) -> None:
    """See whether the App can be served there, before anything is scored.

    Raises:
        OptionError: if something else listens on the port, or this machine does not have the address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except OSError as error:
        raise OptionError(
            f"the App cannot be served at {address}, port {port} ({error.strerror}): close what is there, another App "
            "perhaps, or name a free port with --port, an address of this machine with --address"
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
            f"{os.path.join(fo.config.database_dir, 'log', 'mongo.log')} may say why; FIFTYONE_DATABASE_DIR names "
            "another folder for it, FIFTYONE_DATABASE_URI a server of your own"
        ) from error
    return fo


def folder_dataset(folder: str, images: Sequence[str], *, name: str | None = None) -> tuple[Any, int]:
    """The persistent data set that belongs to a folder, made or gone on with, holding all of `images`.

    Args:
        folder: what the data set is made from; its name is the data set's.
        images: paths of files in it; those that the data set has are not added again.
        name: another name for the data set.

    Returns:
        The data set, and how many images it cannot hold because their names are not UTF-8.

    Raises:
        OptionError: if the name is taken by a data set that was not made from this folder, or cannot be one.
    """
    fo = connect()
    origin = os.path.realpath(folder)
    name = name or os.path.basename(origin)
    if not name:
        raise OptionError(f"{folder} has no name to give to the data set: give it one with --name")
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        if len(dataset) and dataset.info.get(_FOLDER_INFO) != origin:
            raise OptionError(
                f"FiftyOne has a data set {name!r} already, made from "
                f"{dataset.info.get(_FOLDER_INFO, 'something else')}: name this one differently with --name"
            )
    else:
        try:
            dataset = fo.Dataset(name)
        except ValueError as error:  # FiftyOne makes a part of a URL of it, which may be empty or taken
            raise OptionError(f"FiftyOne does not take {name!r} as a name ({error}): choose one with --name") from error
    dataset.persistent = True
    dataset.info[_FOLDER_INFO] = origin
    dataset.save()
    paths = [path for path in map(os.path.abspath, images) if _is_utf8(path)]
    there = set(dataset.values("filepath"))
    dataset.add_samples([fo.Sample(filepath=path) for path in paths if path not in there], progress=False)
    return dataset, len(images) - len(paths)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def ensure_plugin() -> Iterator[bool]:
    """Make sure that an App started in this context has the plugin; gives whether it would have had it anyway.

    If not, FiftyOne is shown a passing folder that holds this plugin, and links to those that the person has.
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
    """Serve the App, the most memorable first and the panel beside the grid; gives FiftyOne's session.

    Raises:
        ResMemError: if the App does not start.
    """
    fo = import_fiftyone()
    grid, panel = fo.Panel(type="Samples", pinned=True), fo.Panel(type=_PANEL)
    spaces = fo.Space(
        children=[
            fo.Space(children=[grid], active_child=grid.component_id),
            fo.Space(children=[panel], active_child=panel.component_id),
        ],
        orientation="horizontal",
        sizes=[0.6, 0.4],
    )
    if not dataset.app_config.active_fields:  # the score on every picture; whoever chose otherwise keeps that
        dataset.app_config.active_fields = fo.ActiveFields(paths=[field])
        dataset.save()
    view = dataset.sort_by(field, reverse=True)
    try:
        session = fo.Session(view=view, spaces=spaces, address=address, port=port, remote=not browser)
    except Exception as error:  # a server that ends at once shows as FiftyOne's timeout
        raise ResMemError(
            f"FiftyOne's App did not start ({type(error).__name__}: {error}): `fiftyone app launch` may tell more"
        ) from error
    try:
        yield session
    finally:
        session.close()
