"""Run by FiftyOne's plugin loader, under another name and on every request: it must be fast and have no state.

The package is imported as `resmem_plugin`, once per process, from where it is installed, or else from the plugin's
folder: a linked or downloaded checkout.
"""

import importlib.util
import sys
from pathlib import Path


def _find_package() -> None:
    """Make `import resmem_plugin` work.

    Raises:
        ImportError: if the package is neither installed nor in the plugin's folder.
    """
    spec = importlib.util.find_spec("resmem_plugin")
    if spec is not None and spec.origin is not None:  # without origin: a folder of that name that is not a package
        return
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "resmem_plugin" / "__init__.py").is_file():
        raise ImportError(
            f"the plugin in {folder} needs the package resmem-plugin, which is not installed for {sys.executable}: "
            "pip install it there, or remove the plugin with `fiftyone plugins delete @resmem/memorability`"
        )
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last, so that nothing in it shadows another package


_find_package()

from resmem_plugin.fiftyone import register  # noqa: E402

__all__ = ["register"]
