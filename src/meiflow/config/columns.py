"""Section: names of columns and stimuli in a session file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from meiflow.config.base import Section

_Name = Annotated[str, Field(min_length=1, max_length=200)]
if TYPE_CHECKING:
    from builtins import str as _PresentationColumn
    from builtins import str as _UnitColumn
else:
    _UnitColumn = Literal[
        "area", "peak_channel_id", "probe", "quality", "firing_rate", "isi_violations",
        "amplitude_cutoff", "presence_ratio", "snr",
    ]  # fmt: skip
    _PresentationColumn = Literal[
        "stimulus_name", "start_time", "stop_time", "stimulus_block", "frame", "orientation",
        "x_position", "y_position", "spatial_frequency", "temporal_frequency", "phase", "contrast",
        "color",
    ]  # fmt: skip


class Columns(Section):
    """Names in a session file that differ from those of the Allen Brain Observatory.

    Names that are common elsewhere are tried without it; see `meiflow session info`.
    """

    units: dict[_UnitColumn, _Name] = Field(
        default={},
        description="columns of the units, such as {area: region, quality: label}; area may also "
        "be a column of the electrodes",
    )
    presentations: dict[_PresentationColumn, _Name] = Field(
        default={}, description="columns of the stimulus tables, such as {frame: image_number}"
    )
    stimuli: dict[str, _Name] = Field(
        default={},
        description="stimuli by their name in the file, such as {natural_scenes: my_images}",
    )
