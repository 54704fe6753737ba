"""`python -m resmem_plugin.cli` is the command `resmem`."""

from resmem_plugin.cli import run

run()
