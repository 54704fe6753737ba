"""Names and types of memorability fields."""

from __future__ import annotations

from typing import Any

import pytest

from resmem_plugin import Scorer
from resmem_plugin.core.errors import OptionError
from resmem_plugin.fiftyone import compute_memorability
from tests.fiftyone.conftest import add_images


@pytest.mark.parametrize("name", ["", "with space", "1st", "_private", "frames", "id", "a.b", "é", "x" * 65, 7])
def test_invalid_field_names_are_rejected(dataset: Any, reds: list[str], red: Scorer, name: Any) -> None:
    add_images(dataset, reds[:1])
    schema = list(dataset.get_field_schema())
    with pytest.raises(OptionError, match="is not a valid field name"):
        compute_memorability(dataset, name, scorer=red)
    assert list(dataset.get_field_schema()) == schema


def test_field_of_another_type_is_not_overwritten(dataset: Any, reds: list[str], red: Scorer) -> None:
    add_images(dataset, reds[:1], caption="a", other_error=3.5)
    for name in ("caption", "other"):
        with pytest.raises(OptionError, match="choose another name"):
            compute_memorability(dataset, name, scorer=red)
