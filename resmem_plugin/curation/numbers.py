"""Numbers as callers give them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resmem_plugin.core.errors import OptionError


def as_numbers(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """These values as a float64 array (N,), NaN where there is none.

    Raises:
        OptionError: if they are no such numbers; `what` names them.
    """
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{what} must be numbers, NaN where there is none: {error}") from error
    if found.ndim != 1 or np.isinf(found).any():
        raise OptionError(f"{what} must be a list of finite numbers, NaN where there is none")
    return found
