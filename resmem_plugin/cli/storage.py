"""The options of the command line that go with the requests for images behind URLs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from resmem_plugin.core.errors import OptionError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--header` and `--storage-options`."""
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header for http(s) requests, such as a browser's User-Agent or credentials; may be repeated",
    )
    parser.add_argument(
        "--storage-options",
        metavar="JSON",
        help='options for images behind URLs, passed to fsspec; by protocol too: \'{"s3": {"anon": true}}\'',
    )


def storage_options(options: argparse.Namespace) -> dict[str, Any] | None:
    """What the options give, or None.

    Raises:
        OptionError: for a header without a colon, or what is no JSON object; it repeats neither, which may be secret.
    """
    found: dict[str, Any] = {}
    if options.storage_options is not None:
        try:
            found = json.loads(options.storage_options)
        except ValueError as error:
            raise OptionError(f"--storage-options is not valid JSON ({error}): quote it as '{{...}}'") from None
        if not isinstance(found, dict):
            raise OptionError("--storage-options must be a JSON object, as in '{\"anon\": true}'")
    headers = dict(_header(given) for given in options.header)
    for protocol in ("http", "https") if headers else ():  # each, because options of https are not for http
        own = found.get(protocol) or found.get("http") or {}
        before = {**(found.get("headers") or {}), **(own.get("headers") or {})}
        found = {**found, protocol: {**own, "headers": {**before, **headers}}}
    return found or None


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise OptionError("--header needs a name and a value: 'NAME: VALUE'")
    return name.strip(), value.strip()
