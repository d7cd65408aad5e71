"""Folders in the layout of experanto: images on a screen, and responses, as time series.

``screen`` has an image per trial (``data/00000.npy``), what is known of it (``meta/00000.yml``) and
the onsets (``timestamps.npy``); ``responses`` has one sample per trial (``data.npy``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from meiflow.session.sensorium import SensoriumScan, new_folder


def write_experanto(scan: SensoriumScan, folder: str | Path, trial_s: float) -> None:
    """Write a scan as an experanto experiment, with trials at equal intervals.

    The modalities are ``screen`` and ``responses``. Means and standard deviations for
    normalisation are those of the tier ``train``, or of all trials if there is none.

    Parameters
    ----------
    scan : SensoriumScan
    folder : path
        New folder.
    trial_s : float
        Time from one trial to the next in seconds.

    Raises
    ------
    MeiflowError
        If the folder exists.
    """
    folder = new_folder(folder)
    screen, responses = folder / "screen", folder / "responses"
    for path in (screen / "data", screen / "meta", responses / "meta"):
        path.mkdir(parents=True)
    n, rows = len(scan.trials), np.searchsorted(scan.shown, scan.image_ids)
    for i, row in enumerate(rows):
        np.save(screen / "data" / f"{i:05d}.npy", 255 * scan.images[row], allow_pickle=False)
        about = {
            "modality": "image",
            "image_size": list(scan.images.shape[1:]),
            "first_frame_idx": i,
            "num_frames": 1,
            "tier": str(scan.tiers[i]),
            "image_id": int(scan.image_ids[i]),
            "trial_idx": i,
        }
        (screen / "meta" / f"{i:05d}.yml").write_text(yaml.safe_dump(about, sort_keys=False))
    np.save(screen / "timestamps.npy", trial_s * np.arange(n), allow_pickle=False)
    (screen / "meta.yml").write_text(yaml.safe_dump({"modality": "screen"}))
    training = scan.tiers == "train" if (scan.tiers == "train").any() else np.ones(n, bool)
    seen = 255 * scan.images[np.unique(rows[training])]
    np.save(screen / "meta" / "means.npy", seen.mean(axis=0), allow_pickle=False)
    np.save(screen / "meta" / "stds.npy", seen.std(axis=0), allow_pickle=False)
    np.save(responses / "data.npy", scan.responses.astype(np.float32), allow_pickle=False)
    np.save(
        responses / "meta" / "means.npy", scan.responses[training].mean(axis=0), allow_pickle=False
    )
    np.save(
        responses / "meta" / "stds.npy", scan.responses[training].std(axis=0), allow_pickle=False
    )
    np.save(
        responses / "meta" / "unit_ids.npy",
        scan.neurons["neuron_id"].astype(str),
        allow_pickle=False,
    )
    series = {
        "modality": "sequence",
        "sampling_rate": float(1 / trial_s),
        "start_time": 0.0,
        "end_time": float(n * trial_s),
        "phase_shift_per_signal": False,
        "is_mem_mapped": False,
        "n_signals": int(scan.responses.shape[1]),
        "n_timestamps": n,
        "dtype": "float32",
    }
    (responses / "meta.yml").write_text(yaml.safe_dump(series, sort_keys=False))
