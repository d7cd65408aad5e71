"""The gain of single trials, from the tables of a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.models.gain import SHARED_GAIN, TrialGain, behaviour_states
from meiflow.progress import logger
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.tables.counts import BLANK, Trials

_BEHAVIOUR = ("running_speed", "pupil_area")


@dataclass(frozen=True)
class SessionGain:
    """Trials of a session from which the gain of every neuron is estimated, and their states.

    Parameters
    ----------
    trials : TrialGain
    states : tuple of str
        Names of the states, in the order of the coefficients.
    """

    trials: TrialGain
    states: tuple[str, ...]

    def table(self, neuron_ids: list[str]) -> pd.DataFrame:
        """One row per neuron, estimated from all images: the table ``models/gain.csv``."""
        found = self.trials.fit(np.unique(self.trials.images[self.trials.images >= 0]))
        coefficients = dict(zip(self.states, found.coefficients, strict=True))
        missing = np.full(len(neuron_ids), np.nan)
        return pd.DataFrame(
            {"neuron_id": neuron_ids, "used": found.used}
            | {name: coefficients.get(name, missing) for name in (*_BEHAVIOUR, *SHARED_GAIN)}
            | {"gain_sd": found.gain.std(axis=0), "explained": found.explained}
        )


def trial_gain(
    config: Config, results: Layout, has: SessionHas, trials: Trials
) -> SessionGain | None:
    """The trials and states of ``model.gain``; None if no gain is wanted.

    Raises
    ------
    MeiflowError
        If behaviour is requested but neither running speed nor pupil area was recorded.
    """
    kind = config.model.gain
    if kind == "none":
        return None
    if trials.response.average != "mean":
        raise MeiflowError(
            "model.gain: the gain is estimated with means over trials, not with session.average: "
            f"{trials.response.average}; use none, or session.average: mean"
        )
    shown = presentations_of(results, trials) if has.spike_times else pd.DataFrame()
    states: dict[str, NDArray[np.float64]] = {}
    if kind in ("behaviour", "auto"):
        states = behaviour_of(shown)
    if kind == "behaviour" and not states:
        raise MeiflowError(
            "model.gain: behaviour was requested, but this session has neither running speed nor "
            "pupil area; use population or auto"
        )
    shared = kind == "population" or not states
    names = (*states, *(SHARED_GAIN if shared else ()))
    logger.info(f"gain of single trials from {', '.join(names)}")
    _, codes = np.unique(trials.image_ids, return_inverse=True)
    first = int((trials.image_ids == BLANK).any())
    return SessionGain(
        TrialGain(
            trials.counts,
            codes - first,
            np.stack([*states.values()], axis=1) if states else np.empty((len(codes), 0)),
            shared,
            shown["block"].to_numpy() if "block" in shown else None,
            "gaussian" if trials.response.real else "poisson",
        ),
        names,
    )


def behaviour_of(shown: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Recorded states of the animal during presentations, by name."""
    speed, pupil = (
        shown[name].to_numpy(float) if name in shown else None
        for name in ("running_speed_cm_s", "pupil_area_px")
    )
    return behaviour_states(speed, pupil)


def presentations_of(results: Layout, trials: Trials) -> pd.DataFrame:
    """The presentations in the order of the trials."""
    table = read_csv(results.presentations, ("trial_id", "block", "start_s"))
    table = table.set_index(table["trial_id"].astype(str))
    found = table.reindex([str(trial) for trial in trials.trial_ids])
    if found["start_s"].isna().any():
        raise MeiflowError(
            f"{results.presentations}: some trials of {results.trials.name} are missing; make the "
            "tables again"
        )
    return found
