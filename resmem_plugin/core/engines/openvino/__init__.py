"""OpenVINO on a CPU."""

from __future__ import annotations

from resmem_plugin.core.engines.openvino.home import usable_home

with usable_home():
    import openvino  # noqa: F401 (before the modules of this package import it)
