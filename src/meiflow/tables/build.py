"""The tables stage: from a session to the CSVs and the image stack all else starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.config import Config
from meiflow.errors import MeiflowError
from meiflow.files import read_csv, write_array, write_csv
from meiflow.progress import say
from meiflow.session.images import load_images
from meiflow.tables.counts import (
    BLANK,
    TRIAL_COLUMNS,
    Trials,
    count_spikes,
    gabor_table,
    mean_responses,
    responses_table,
    trials_from_table,
)


def build_tables(config: Config, images: Path, nwb: Path | None, output: Path) -> None:
    """Write every table of the session under `output`.

    Parameters
    ----------
    config : Config
        Uses ``session`` and ``image``.
    images : path
        Folder of frame pictures or ``.npy`` stack.
    nwb : path or None
        Session file; None takes the trial CSV of ``session.trials``.
    output : path
        Folder that receives trials.csv, responses.csv, blank_responses.csv, units.csv,
        images.npy and, from an NWB, gabor_responses.csv.
    """
    gabors = None
    if nwb is None:
        origin = str(config.session.trials)
        trials = trials_from_table(read_csv(origin, TRIAL_COLUMNS), origin)
        units = pd.DataFrame({"neuron_id": trials.neuron_ids})
    else:
        from meiflow.session.recording import read_session

        recording = read_session(nwb, config.session.areas, config.session.quality)
        window = config.session.window_s
        neuron_ids = [str(i) for i in recording.units.index]
        trials = Trials(
            recording.scenes.index.to_numpy(),
            neuron_ids,
            recording.scenes["frame"].to_numpy(),
            count_spikes(recording.spike_times, recording.scenes["start_time"], window),
        )
        gabors = gabor_table(
            recording.gabors,
            count_spikes(recording.spike_times, recording.gabors["start_time"], window),
            neuron_ids,
        )
        units = recording.units.rename_axis("neuron_id").reset_index()

    image_ids, means = mean_responses(trials)
    shown = image_ids != BLANK
    if shown.sum() < 4:
        raise MeiflowError(
            f"session.trials: only {int(shown.sum())} different images were shown; "
            "at least 4 are needed"
        )
    stack = load_images(images, config.image.geometry.shape, image_ids[shown].tolist())[1]
    write_csv(trials.to_frame(), output / "trials.csv")
    write_csv(
        responses_table(image_ids[shown], means[shown], trials.neuron_ids),
        output / "responses.csv",
    )
    write_csv(
        responses_table(image_ids[~shown], means[~shown], trials.neuron_ids),
        output / "blank_responses.csv",
    )
    write_csv(units, output / "units.csv")
    write_array(stack, output / "images.npy")
    if gabors is not None:
        write_csv(gabors, output / "gabor_responses.csv")
    repeats = np.unique(trials.image_ids, return_counts=True)[1]
    say(
        f"tables: {len(trials.neuron_ids)} neurons, {len(trials.trial_ids)} trials of "
        f"{int(shown.sum())} images ({repeats.min()} to {repeats.max()} repeats)"
    )
