"""`python -m resmem_plugin.cli`: the command `resmem`."""

from resmem_plugin.cli import run

run()
