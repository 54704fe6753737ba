from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import ImageFile

from resmem_plugin import Provenance, Scorer

FP32 = Provenance(
    weights="0" * 64,
    preprocessing="1",
    engine="pytorch",
    precision="fp32",
    decode="exact",
    exif_transpose=False,
    package_version="0.1.0",
    device="cpu",
)


@pytest.mark.parametrize("change", [{"engine": "openvino"}, {"device": "cuda"}, {"device": None}])
def test_engine_and_device_are_recorded_and_not_compared_in_fp32(change: dict[str, str]) -> None:
    other = replace(FP32, **change)  # type: ignore[arg-type]
    assert other.id == FP32.id
    assert other != FP32


@pytest.mark.parametrize("change", [{"engine": "openvino"}, {"device": "cuda"}])
@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_engine_and_device_are_compared_in_other_precisions(precision: str, change: dict[str, str]) -> None:
    before = replace(FP32, precision=precision)
    assert replace(before, **change).id != before.id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "1" * 64},
        {"preprocessing": "2"},
        {"precision": "bf16"},
        {"decode": "fast"},
        {"exif_transpose": True},
    ],
)
def test_id_changes_with_what_changes_a_score(change: dict[str, object]) -> None:
    assert replace(FP32, **change).id != FP32.id  # type: ignore[arg-type]


def test_the_package_version_is_not_compared() -> None:
    assert replace(FP32, package_version="9").id == FP32.id


def test_a_provenance_is_read_from_its_record() -> None:
    record = FP32.to_record()
    assert next(iter(record)) == "provenance"
    assert record["provenance"] == FP32.id
    assert Provenance.from_record(record) == FP32
    assert Provenance.from_record({**record, "of a later version": 1}) == FP32


@pytest.mark.parametrize("record", [None, "text", {}, {"provenance": "0123456789ab"}])
def test_a_record_of_another_tool_is_not_a_provenance(record: object) -> None:
    assert Provenance.from_record(record) is None


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_record_without_a_device_has_the_id_of_a_cpu(precision: str) -> None:
    now = replace(FP32, precision=precision)
    assert replace(now, device=None).id == now.id


def test_filled_up_truncated_files_are_another_provenance(red: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    before = red.provenance.id
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert red.provenance.load_truncated
    assert red.provenance.id != before
