"""Paths and reader of a stimulus pack, and paths of its scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from meiflow.errors import MeiflowError
from meiflow.io.checksums import verify_checksum
from meiflow.io.files import read_csv
from meiflow.results.folder import Folder

FORMAT = 1


class PackLayout(Folder):
    """Paths in a stimulus pack."""

    @property
    def document(self) -> Path:
        """Monitor, design, versions and hashes."""
        return self.root / "pack.json"

    @property
    def readme(self) -> Path:
        """What the pack contains and how to show it."""
        return self.root / "README.txt"

    @property
    def stimuli(self) -> Path:
        """One row per stimulus, with the contrast shown."""
        return self.root / "stimuli.csv"

    @property
    def neurons(self) -> Path:
        """One row per neuron: trust, and position of its stimuli."""
        return self.root / "neurons.csv"

    @property
    def predicted(self) -> Path:
        """Predicted response of every neuron (column) to every stimulus (row)."""
        return self.root / "predicted.csv"

    @property
    def frames(self) -> Path:
        """One row per presentation, in random order."""
        return self.root / "frames.csv"

    @property
    def conditions(self) -> Path:
        """One row per stimulus, for a loop of PsychoPy."""
        return self.root / "conditions.csv"

    @property
    def luminance(self) -> Path:
        """Images of all stimuli on the grid of the models."""
        return self.root / "luminance.npy"

    @property
    def gamma(self) -> Path:
        """Luminance of the 256 grey levels."""
        return self.root / "gamma.csv"

    @property
    def nwb(self) -> Path:
        """The pictures and their order in one NWB file."""
        return self.root / "stimuli.nwb"

    def picture(self, stimulus: int) -> Path:
        """What the monitor shows, 8-bit grey levels."""
        return self.root / "pictures" / f"{stimulus:04d}.png"


class DayLayout(Folder):
    """Paths of the scores of a pack."""

    @property
    def comparisons(self) -> Path:
        """One row per neuron, contrast and stimulus other than the MEI."""
        return self.root / "comparisons.csv"

    @property
    def neurons(self) -> Path:
        """One row per neuron."""
        return self.root / "neurons.csv"

    @property
    def stimuli(self) -> Path:
        """Mean over neurons of the drive relative to that of the MEI, one row per stimulus."""
        return self.root / "stimuli.csv"

    @property
    def responses(self) -> Path:
        """Measured and predicted mean response, one row per neuron and stimulus."""
        return self.root / "responses.csv"

    @property
    def summary(self) -> Path:
        """Numbers over all neurons."""
        return self.root / "summary.json"


@dataclass(frozen=True)
class Pack:
    """A stimulus pack.

    Parameters
    ----------
    document : dict
        Contents of pack.json.
    stimuli, neurons, predicted, frames : DataFrame
    """

    document: dict[str, Any]
    stimuli: pd.DataFrame
    neurons: pd.DataFrame
    predicted: pd.DataFrame
    frames: pd.DataFrame


def read_pack(folder: str | Path) -> Pack:
    """Read the tables of a stimulus pack.

    Raises
    ------
    MeiflowError
        If it is not a pack, or a table is missing or was changed.
    """
    files = PackLayout(folder)
    if not files.document.is_file():
        raise MeiflowError(
            f"{folder}: not a stimulus pack (pack.json is missing); give the folder written by "
            "meiflow export-stimuli"
        )
    verify_checksum(files.document)
    try:
        document = json.loads(files.document.read_text(encoding="utf-8"))
        version = document["format"]
    except (ValueError, KeyError, TypeError):
        raise MeiflowError(f"{files.document}: not readable; export the pack again") from None
    if version != FORMAT:
        raise MeiflowError(
            f"{files.document}: format {version}, but this version of meiflow reads {FORMAT}; "
            "export the pack again, or use the version named in the file"
        )
    stimuli = read_csv(files.stimuli, ("stimulus_id", "stimulus", "neuron_id", "contrast"))
    stimuli["neuron_id"] = stimuli["neuron_id"].fillna("")
    return Pack(
        document,
        stimuli,
        read_csv(files.neurons, ("neuron_id", "trusted")),
        read_csv(files.predicted, ("stimulus_id",)),
        read_csv(files.frames, ("frame", "stimulus_id")),
    )
