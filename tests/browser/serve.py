"""The App's server as `fiftyone app launch` runs it, with a stand-in for the network if one is named.

python -m tests.browser.serve --port 5151 [--stand-in slow --forwarded FILE]
"""

from __future__ import annotations

import argparse
import logging

from fiftyone.server.main import start_server

from tests.models import STAND_INS, use_stand_in


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stand-in", choices=STAND_INS)
    parser.add_argument("--forwarded", default="")
    options = parser.parse_args()
    if options.stand_in:
        use_stand_in(STAND_INS[options.stand_in], options.forwarded)
    panel = logging.getLogger("resmem_plugin.fiftyone.app.panel")  # it logs each computation
    panel.addHandler(logging.StreamHandler())
    panel.setLevel(logging.DEBUG)
    start_server(port=options.port, address="127.0.0.1")


if __name__ == "__main__":
    main()
