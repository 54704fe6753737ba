"""A gallery of maps."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from resmem_plugin import Scorer
from resmem_plugin.explain import explain
from resmem_plugin.reports.explanations import explanation_gallery
from tests.models import Red


def test_maps_share_one_scale() -> None:
    scorer = Scorer(model=Red())
    strong, weak = (Image.new("RGB", (100, 60), (red, 128, 128)) for red in (255, 150))
    images = [strong, weak, b"<script>"]
    explanations = explain(images, baseline="blank", passes=49, errors="coerce", scorer=scorer)
    page = explanation_gallery(images, explanations, scorer, total=9).to_html()
    assert "3 of 9 images" in page
    assert f"+{explanations[0].limit:.3f}" in page
    assert explanations[0].limit > 3 * explanations[1].limit
    thumbnails = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB")).astype(int)
        for each in re.findall(r"base64,([^\"]+)", page)
    ]
    red = [float((each[..., 0] - each[..., 2]).max()) for each in thumbnails]
    assert red[0] > 3 * red[1] > 0
    assert "<script>" not in page.split("</style>")[1]


def test_an_empty_gallery() -> None:
    assert "0 of 0 images" in explanation_gallery([], [], Scorer(model=Red())).to_html()


def test_images_lie_as_the_scorer_reads_them() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (120, 60), "red").save(buffer, "JPEG", exif=exif)
    for turned, size in ((False, (120, 60)), (True, (60, 120))):
        scorer = Scorer(model=Red(), exif_transpose=turned)
        explanations = explain([buffer.getvalue()], passes=49, scorer=scorer)
        page = explanation_gallery([buffer.getvalue()], explanations, scorer).to_html()
        (thumbnail,) = re.findall(r"base64,([^\"]+)", page)
        assert Image.open(io.BytesIO(base64.b64decode(thumbnail))).size == size
