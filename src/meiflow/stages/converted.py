"""What all conversions to tables share: the check of the window, and the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from meiflow.errors import MeiflowError
from meiflow.io.files import write_text

CONFIG = "config.yaml"


def require_window(window_s: tuple[float, float]) -> None:
    """Check that a window (start, stop) in seconds is not empty.

    Raises
    ------
    MeiflowError
        If it is.
    """
    if not window_s[0] < window_s[1]:
        raise MeiflowError(f"window: needs start < stop, got {window_s[0]:g} and {window_s[1]:g}")


def write_configuration(
    session: dict[str, Any], size_deg: tuple[float, float], folder: Path
) -> None:
    """Write config.yaml, after the files that it names.

    Parameters
    ----------
    session : dict
        The section ``session``.
    size_deg : tuple of float
        Visual angle of the images, width and height.
    folder : path
    """
    image = {"width_deg": size_deg[0], "height_deg": size_deg[1]}
    text = yaml.safe_dump({"session": session, "image": image}, sort_keys=False)
    write_text(text, folder / CONFIG)
