"""What the figures of all neurons share: names, colours, labels, and small pictures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.figures.neuron import MASK_COLOUR, SHORT_NAMES, dark
from meiflow.figures.style import STIMULUS_COLOURS, STIMULUS_NAMES
from meiflow.report.drawing import grey_levels
from meiflow.report.plot import values
from meiflow.report.session_data import SessionData

_MOST_PIXELS = 4_000_000  # of all small pictures together
_QUALITY = 80
# Labels on counts in the scripts, which have other words for other responses.
_LABELS = (
    "count",
    "predicted count",
    "predicted count relative to the MEI",
    "measured count",
    "odd trials (count)",
    "even trials (count)",
    "mean count",
    "spikes per trial",
    "count minus grey",
    "best count minus grey",
    "F1 of the count",
)


def session_document(data: SessionData) -> dict[str, Any]:
    """Values that the figures of all neurons share.

    Parameters
    ----------
    data : SessionData
    """
    grid = data.config.image.geometry
    names = [name for name in STIMULUS_NAMES if name in SHORT_NAMES]
    return {
        "width_deg": grid.width_deg,
        "height_deg": grid.height_deg,
        "x": values(grid.x),
        "y": values(grid.y),
        "stimuli": {
            name: {
                "name": STIMULUS_NAMES[name],
                "short": SHORT_NAMES[name],
                "colour": STIMULUS_COLOURS[name],
                "dark": dark(name),
            }
            for name in names
        },
        "mask": MASK_COLOUR,
        "labels": {text: data.response.label(text).replace("\n", " ") for text in _LABELS},
        "noun": data.response.noun,
        "images": _thumbnails(data.responses.images)
        | {"labels": [data.label(int(i)) for i in data.responses.image_ids]},
    }


def _thumbnails(images: NDArray) -> dict[str, Any]:
    """All images in one picture, smaller than shown if there are many.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance.
    """
    from PIL import Image

    height, width = images.shape[1:]
    scale = min(1.0, (_MOST_PIXELS / max(images.size, 1)) ** 0.5)
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    across = max(int(np.ceil(np.sqrt(len(images) * size[1] / size[0]))), 1)
    sheet = Image.new("L", (across * size[0], -(-len(images) // across) * size[1]), 128)
    for i, image in enumerate(images):
        small = Image.fromarray(grey_levels(image)).resize(size)
        sheet.paste(small, (i % across * size[0], i // across * size[1]))
    buffer = io.BytesIO()
    sheet.save(buffer, "jpeg", quality=_QUALITY)
    return {
        "width": size[0],
        "height": size[1],
        "across": across,
        "sheet": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(),
    }
