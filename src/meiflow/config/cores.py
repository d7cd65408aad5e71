"""Published cores that are known by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownCore:
    """A published core: where it is, how it is verified and cited, and how it sees images.

    Parameters
    ----------
    about : str
    url : str
        Address of the file, at a fixed version.
    sha256 : str
    licence, citation : str
    seen : dict
        Values of the section ``model.network.core_input``.
    """

    about: str
    url: str
    sha256: str
    licence: str
    citation: str
    seen: dict[str, float]

    @property
    def path(self) -> Path:
        """Local copy, relative to the current folder."""
        return Path("data", "cores", self.url.rpartition("/")[2])


KNOWN_CORES = {
    "sensorium": KnownCore(
        "mouse V1, 7,776 neurons of one mouse that saw about 5,000 natural images",
        "https://raw.githubusercontent.com/sinzlab/sensorium/"
        "c433fed25f234724fd9adf0cef3c260a2068b1fa/notebooks/model_tutorial/model_checkpoints/"
        "pretrained/sensorium_sota_model.pth",
        "7a87989732c34068fe10aaf1dd2c0421cb47cb1693b4f95a5e0e381632456173",
        "MIT",
        "Willeke et al. 2022, arXiv:2206.08666",
        # the normalisation was not published; that of natural images is close
        {"deg_per_px": 1.9, "mean": 0.445, "sd": 0.234},
    )
}
