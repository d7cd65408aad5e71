"""Published cores that are known by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meiflow.errors import MeiflowError
from meiflow.io.checksums import sha256_of


@dataclass(frozen=True)
class KnownCore:
    """A published core: where it is, how it is verified and cited, and how it sees images.

    Parameters
    ----------
    about : str
    url : str
        Address of the file, at a fixed version.
    size : int
        Number of bytes.
    sha256 : str
    licence, citation : str
    seen : dict
        Values of the section ``model.network.core_input``.
    """

    about: str
    url: str
    size: int
    sha256: str
    licence: str
    citation: str
    seen: dict[str, float]

    @property
    def path(self) -> Path:
        """Local copy, relative to the current folder."""
        return Path("data", "cores", self.url.rpartition("/")[2])

    def require(self, path: Path) -> None:
        """Check that a file is this core.

        Raises
        ------
        MeiflowError
            If its content differs, without its name.
        """
        if sha256_of(path) != self.sha256:
            raise MeiflowError(f"the SHA-256 is not {self.sha256}; this is a different file")

    def require_copy(self) -> None:
        """Check that the local copy is this core.

        Raises
        ------
        MeiflowError
            If it is another file.
        """
        try:
            self.require(self.path)
        except MeiflowError as error:
            raise MeiflowError(f"{self.path}: {error}; delete it, and run again") from None

    @property
    def credit(self) -> str:
        """Licence and citation."""
        return f"licence {self.licence}; cite {self.citation}"


KNOWN_CORES = {
    "sensorium": KnownCore(
        "mouse V1, 7,776 neurons of one mouse that saw about 5,000 natural images",
        "https://raw.githubusercontent.com/sinzlab/sensorium/"
        "c433fed25f234724fd9adf0cef3c260a2068b1fa/notebooks/model_tutorial/model_checkpoints/"
        "pretrained/sensorium_sota_model.pth",
        2383728,
        "7a87989732c34068fe10aaf1dd2c0421cb47cb1693b4f95a5e0e381632456173",
        "MIT",
        "Willeke et al. 2022, arXiv:2206.08666",
        # the normalisation was not published; that of natural images is close
        {"deg_per_px": 1.9, "mean": 0.445, "sd": 0.234},
    )
}
# The core of downloaded sessions: model.network.core: auto.
RECOMMENDED = "sensorium"
