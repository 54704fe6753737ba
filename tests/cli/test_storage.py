"""`--header` and `--storage-options`."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from resmem_plugin.cli.storage import add_options, storage_options
from resmem_plugin.core.errors import OptionError
from resmem_plugin.core.images.remote import RemoteReader
from tests.http_server import IMAGE, WebServer


def _parsed(*arguments: str) -> dict[str, Any] | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return storage_options(parser.parse_args(arguments))


def test_headers_of_the_command_line_are_sent(web: WebServer) -> None:
    given = _parsed("--header", f"Authorization: {web.private}", "--header", "user-agent:me", "--storage-options", "{}")
    reader = RemoteReader(given)
    assert reader.read(web.url("private/a.jpg")) == IMAGE
    assert reader.read(f"zip://a.jpg::{web.url('private/a.zip')}") == IMAGE
    reader.close()
    assert set(web.user_agents) == {"me"}


def test_headers_are_added_to_storage_options() -> None:
    found = _parsed("--storage-options", '{"anon": true, "headers": {"A": "1"}}', "--header", "B: 2:3")
    assert found is not None
    assert found["anon"] is True
    assert found["http"] == found["https"] == {"headers": {"A": "1", "B": "2:3"}}
    assert _parsed() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--header", "hush"], "'NAME: VALUE'"),
        (["--header", ": hush"], "'NAME: VALUE'"),
        (["--storage-options", "{hush"], "not valid JSON"),
        (["--storage-options", '["hush"]'], "must be a JSON object"),
    ],
)
def test_what_is_no_header_and_no_json_object_is_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        _parsed(*arguments)
    assert "hush" not in str(caught.value)
