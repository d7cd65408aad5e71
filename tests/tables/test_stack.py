"""Description of an image stack, without reading the stack."""

import json

import numpy as np
import pytest

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.tables.stack import StackInfo

GRID = Geometry(6, 8, 80.0, 45.0)


@pytest.fixture
def info(rng):
    return StackInfo.of(rng.random((5, 6, 8)).astype(np.float32), np.arange(5) + 10, GRID)


def test_the_text_is_complete(info):
    again = StackInfo.from_json(info.to_json())
    assert again.image_ids.tolist() == [10, 11, 12, 13, 14]
    assert again.geometry == GRID
    # to the last bit: all stimuli use these numbers
    assert again.mean_luminance == info.mean_luminance
    assert again.mean_contrast == info.mean_contrast
    document = json.loads(info.to_json())
    assert document["deg_per_pixel_x"] == 10.0
    assert document["deg_per_pixel_y"] == 7.5


def test_mean_and_contrast_are_those_of_the_stack(rng):
    images = rng.random((5, 6, 8)).astype(np.float32)
    info = StackInfo.of(images, np.arange(5), GRID)
    assert info.mean_luminance == images.mean()
    # the contrast within images, not between them
    assert info.mean_contrast == np.mean([image.std() for image in images], dtype=np.float32)


@pytest.mark.parametrize(
    "change",
    [{"height": None}, {"image_ids": 3}, {"image_ids": ["a"]}, {"image_ids": [10**30]},
     {"mean_contrast": "much"}, {"mean_luminance": None}],
)  # fmt: skip
def test_another_text_is_refused(info, change):
    document = json.loads(info.to_json())
    with pytest.raises(ValueError, match=r"."):
        StackInfo.from_json(json.dumps(document | change))
    for key in ("height", "image_ids", "mean_contrast"):
        with pytest.raises(ValueError, match=key):
            StackInfo.from_json(json.dumps({k: v for k, v in document.items() if k != key}))
    for text in ("", "[1]", "3"):
        with pytest.raises(ValueError, match=r"."):
            StackInfo.from_json(text)


@pytest.mark.parametrize("key", ["height", "width", "width_deg", "height_deg"])
def test_another_geometry_is_named(info, key):
    info.require(GRID, "tables")
    wanted = Geometry(**(vars(GRID) | {key: getattr(GRID, key) + 1}))
    with pytest.raises(MeiflowError, match=rf"image.{key}: the images in tables were made with"):
        info.require(wanted, "tables")
