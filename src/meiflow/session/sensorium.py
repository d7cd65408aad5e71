"""Folders in the layout of Sensorium 2022 (Willeke et al. 2022): one .npy file per trial.

``data/images/N.npy``, ``data/responses/N.npy`` and, if recorded, ``data/behavior`` and
``data/pupil_center``; ``meta/trials`` with ``tiers`` and ``frame_image_id`` of all trials;
``meta/neurons`` with ``unit_ids``, ``area`` and ``layer``. It is the layout of
``neuralpredictors.data.datasets.FileTreeDataset``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.session.images import resize

KEY = "session.sensorium.folder"
TEST_TIERS = ("test", "live_test", "final_test")
_NEURON_COLUMNS = ("area", "layer")
_SUMMARIES: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "std": np.std,
    "min": np.min,
    "max": np.max,
    "median": np.median,
}


@dataclass(frozen=True)
class SensoriumScan:
    """Trials of a scan in order of presentation, as far as this is known.

    Parameters
    ----------
    trials : ndarray of int, shape (trials,)
        Number N of the files of each trial.
    image_ids : ndarray of int, shape (trials,)
    tiers : ndarray of str, shape (trials,)
    responses : ndarray of float32, shape (trials, neurons)
    shown : ndarray of int, shape (images,)
        Ids of the different images, increasing.
    images : ndarray of float32, shape (images, height, width)
        Luminance in [0, 1].
    neurons : dict of str to ndarray, each (neurons,)
        ``neuron_id`` and, if known, ``area`` and ``layer``.
    withheld : tuple of str
        Tiers that were left out because all their responses are zero.
    """

    trials: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    tiers: NDArray
    responses: NDArray[np.float32]
    shown: NDArray[np.int64]
    images: NDArray[np.float32]
    neurons: dict[str, NDArray]
    withheld: tuple[str, ...] = ()

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Images of a test tier, on which models must not be fitted, shape (images,)."""
        return np.isin(self.shown, self.image_ids[np.isin(self.tiers, TEST_TIERS)])


def read_sensorium(folder: str | Path, shape: tuple[int, int]) -> SensoriumScan:
    """Read a scan, and resize its images.

    Parameters
    ----------
    folder : path
    shape : tuple of int
        (height, width) of the images in pixels.

    Raises
    ------
    MeiflowError
        If a file is missing or damaged, or its content does not fit.
    """
    folder = Path(folder)
    responses = _Files.of(folder / "data" / "responses")
    meta = folder / "meta" / "trials"
    tiers, ids = _array(meta / "tiers.npy").astype(str), _array(meta / "frame_image_id.npy")
    for name, values in (("tiers", tiers), ("frame_image_id", ids)):
        if values.shape != (len(responses),):
            raise MeiflowError(
                f"{KEY}: {meta / name}.npy has shape {values.shape} for {len(responses)} files in "
                "data/responses; expected one value per trial"
            )
    if ids.dtype.kind not in "iu" or (ids < 0).any():
        raise MeiflowError(f"{KEY}: {meta}/frame_image_id.npy: expected whole numbers from 0")
    trials = _in_order(meta / "trial_idx.npy", len(responses))
    recorded = responses.stacked(trials)
    if recorded.ndim != 2 or not np.isfinite(recorded).all():
        raise MeiflowError(
            f"{KEY}: {responses.folder}: expected finite responses of shape (neurons,) per trial"
        )
    tiers, ids = tiers[trials], ids[trials].astype(np.int64)
    withheld = [tier for tier in np.unique(tiers) if not recorded[tiers == tier].any()]
    kept = ~np.isin(tiers, withheld)
    if not kept.any():
        raise MeiflowError(f"{KEY}: {responses.folder}: all responses are zero")
    trials, tiers, ids, recorded = trials[kept], tiers[kept], ids[kept], recorded[kept]
    shown, first = np.unique(ids, return_index=True)
    images = _Files.of(folder / "data" / "images", len(responses))
    stack = np.stack([_luminance(images, trial, shape) for trial in trials[first]])
    neurons = _neurons(folder / "meta" / "neurons", recorded.shape[1])
    return SensoriumScan(trials, ids, tiers, recorded, shown, stack, neurons, tuple(withheld))


def picture_shape(folder: str | Path) -> tuple[int, int]:
    """Rows and columns of the pictures in a folder that `read_sensorium` has read."""
    rows, columns = _array(Path(folder) / "data" / "images" / "0.npy").shape[-2:]
    return rows, columns


@dataclass(frozen=True)
class _Files:
    """The files 0.npy, 1.npy, ... of a folder."""

    folder: Path
    number: int

    @classmethod
    def of(cls, folder: Path, number: int | None = None) -> _Files:
        names = {path.name for path in folder.glob("*.npy")} if folder.is_dir() else set()
        if not names:
            raise MeiflowError(
                f"{KEY}: {folder} contains no .npy file; give the unpacked folder of a scan, with "
                "data/images, data/responses and meta"
            )
        wanted = len(names) if number is None else number
        missing = [f"{i}.npy" for i in range(wanted) if f"{i}.npy" not in names]
        if missing:
            raise MeiflowError(f"{KEY}: {folder} lacks {shorten(missing, 3)}")
        return cls(folder, wanted)

    def __len__(self) -> int:
        return self.number

    def __call__(self, trial: int) -> NDArray:
        return _array(self.folder / f"{trial}.npy")

    def stacked(self, trials: NDArray) -> NDArray[np.float32]:
        arrays = [self(int(trial)).ravel() for trial in trials]
        sizes = {len(array) for array in arrays}
        if len(sizes) > 1:
            raise MeiflowError(
                f"{KEY}: {self.folder}: files of different length ({shorten(sorted(sizes))})"
            )
        return np.stack(arrays).astype(np.float32)


def _array(path: Path) -> NDArray:
    """An array of numbers or text; nothing in the file is executed."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise MeiflowError(f"{KEY}: {path} is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise MeiflowError(f"{KEY}: {path} cannot be read ({error})") from None


def _in_order(path: Path, n: int) -> NDArray[np.int64]:
    """Numbers of the trials in order of presentation, or of the files if it is withheld."""
    if path.exists():
        index = _array(path)
        if index.shape == (n,) and index.dtype.kind in "iu":
            return np.argsort(index, kind="stable")
    return np.arange(n)


def _luminance(images: _Files, trial: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """An image in [0, 1], from grey levels 0 to 255, resized."""
    pixels = images(trial)
    pixels = pixels[0] if pixels.ndim == 3 and len(pixels) == 1 else pixels
    if pixels.ndim != 2 or not np.isfinite(pixels).all():
        raise MeiflowError(
            f"{KEY}: {images.folder / f'{trial}.npy'} has shape {images(trial).shape}; expected "
            "one channel of luminance, (1, height, width) or (height, width)"
        )
    if pixels.min() < 0 or pixels.max() > 255:
        raise MeiflowError(
            f"{KEY}: {images.folder / f'{trial}.npy'} has values from {pixels.min():g} to "
            f"{pixels.max():g}; expected grey levels from 0 to 255"
        )
    return resize(pixels[None].astype(float) / 255, shape)[0]


def _neurons(folder: Path, n: int) -> dict[str, NDArray]:
    found = {"neuron_id": np.arange(n).astype(str)}
    names = {"neuron_id": "unit_ids"} | {name: name for name in _NEURON_COLUMNS}
    for name, file in names.items():
        path = folder / f"{file}.npy"
        if not path.exists():
            continue
        values = _array(path)
        if values.shape != (n,):
            raise MeiflowError(
                f"{KEY}: {path} has shape {values.shape} for {n} neurons in data/responses"
            )
        found[name] = values.astype(str)
    if len(set(found["neuron_id"])) < n:
        raise MeiflowError(f"{KEY}: {folder / 'unit_ids.npy'} contains an id twice")
    return found


def new_folder(folder: str | Path) -> Path:
    """The folder as a path, if it does not exist yet.

    Raises
    ------
    MeiflowError
        If it exists.
    """
    if Path(folder).exists():
        raise MeiflowError(f"{folder}: exists; give a new folder, or remove it")
    return Path(folder)


def write_sensorium(scan: SensoriumScan, folder: str | Path) -> None:
    """Write a scan in the layout that `read_sensorium` reads; images as grey levels 0 to 255.

    Parameters
    ----------
    scan : SensoriumScan
    folder : path
        New folder.

    Raises
    ------
    MeiflowError
        If the folder exists.
    """
    folder = new_folder(folder)
    pictures = (255 * scan.images[np.searchsorted(scan.shown, scan.image_ids)]).astype(np.float32)
    data = {"images": pictures[:, None], "responses": scan.responses.astype(np.float32)}
    training = scan.tiers == "train"
    for name, values in data.items():
        (folder / "data" / name).mkdir(parents=True)
        for i, value in enumerate(values):
            np.save(folder / "data" / name / f"{i}.npy", value, allow_pickle=False)
        summary = folder / "meta" / "statistics" / name / "all"
        summary.mkdir(parents=True)
        seen = values[training] if training.any() else values
        axis = None if name == "images" else 0
        for kind, of in _SUMMARIES.items():
            np.save(
                summary / f"{kind}.npy",
                np.asarray(of(seen, axis=axis), np.float32),
                allow_pickle=False,
            )
    trials = {
        "tiers": scan.tiers.astype(str),
        "frame_image_id": scan.image_ids,
        "trial_idx": np.arange(len(scan.trials)),
    }
    neurons = {"unit_ids" if k == "neuron_id" else k: v for k, v in scan.neurons.items()}
    ids = neurons["unit_ids"].astype(str)
    if all(text.isdecimal() and str(int(text)) == text for text in ids):
        neurons["unit_ids"] = ids.astype(np.int64)
    for name, columns in (("trials", trials), ("neurons", neurons)):
        (folder / "meta" / name).mkdir()
        for column, values in columns.items():
            np.save(folder / "meta" / name / f"{column}.npy", values, allow_pickle=False)
