"""Simulated units that are neurons of a published network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Simulation
from meiflow.errors import MeiflowError
from meiflow.selection.activity import column_correlations
from meiflow.simulation.rates import DISPLAY, Rates
from meiflow.simulation.truth import TRUTH_COLUMNS

if TYPE_CHECKING:
    from meiflow.models.published_neurons import PublishedNeurons

KIND = "published"
# Correlation over the images of the session, above which two networks mean the same neuron.
AGREEMENT = 0.7
# Distance of receptive fields from the edge of the screen, and spread of the responses over mean.
_MARGIN_DEG, _LEAST_SPREAD = 8.0, 0.05


def draw_published(
    units: pd.DataFrame, config: Simulation, display: NDArray, rng: np.random.Generator
) -> tuple[pd.DataFrame, PublishedNeurons]:
    """Replace the tuned units by neurons of ``session.simulation.truth``.

    Parameters
    ----------
    units : DataFrame
        From `meiflow.simulation.truth.draw_neurons`.
    config : Simulation
    display : ndarray, shape (images, height, width)
        Images of the session on the display, which the neurons have to answer to and, with
        ``judge``, on which both networks have to agree.
    rng : Generator

    Returns
    -------
    units : DataFrame
        With the column ``network_unit``, number of the neuron in the network; -1 if untuned.
    network : PublishedNeurons
        The tuned neurons, in the same order.

    Raises
    ------
    MeiflowError
        If a file is not a network that can be read, the networks have different neurons, or too
        few neurons are on the screen.
    """
    network = open_network(config, "truth")
    responses = network.responses(display)
    x, y = np.abs(network.positions).T
    fine = (x < DISPLAY.width_deg / 2 - _MARGIN_DEG) & (y < DISPLAY.height_deg / 2 - _MARGIN_DEG)
    fine &= responses.std(axis=0) > _LEAST_SPREAD * responses.mean(axis=0)
    what = "on the screen that respond to the images"
    if config.judge is not None:
        judged = open_network(config, "judge").responses(display)
        if judged.shape != responses.shape:
            raise MeiflowError(
                f"session.simulation.judge: {judged.shape[1]} neurons, but "
                f"session.simulation.truth has {responses.shape[1]}; give networks of the same "
                "neurons"
            )
        fine &= column_correlations(responses, judged) > AGREEMENT
        what += f" and on which both networks agree (correlation above {AGREEMENT:g})"
    tuned = (units["kind"] != "untuned").to_numpy()
    candidates = np.flatnonzero(fine)
    if len(candidates) < tuned.sum():
        raise MeiflowError(
            f"session.simulation.truth: {config.truth} has {len(candidates)} neurons {what}, but "
            f"session.simulation.units asks for {tuned.sum()} that are tuned, with those that fail"
        )
    chosen = rng.permutation(candidates)[: tuned.sum()]
    network = network.of(chosen)
    drawn = units.copy()
    unknown = [c for c in TRUTH_COLUMNS if c not in ("kind", "x_deg", "y_deg", "baseline_hz")]
    drawn.loc[tuned, unknown] = np.nan
    drawn.loc[tuned, "kind"] = KIND
    drawn.loc[tuned, ["x_deg", "y_deg"]] = network.positions
    drawn["network_unit"] = -1
    drawn.loc[tuned, "network_unit"] = chosen
    return drawn, network


def open_network(config: Simulation, key: str) -> PublishedNeurons:
    """The network ``truth`` or ``judge`` of the configuration, as it sees the display."""
    from meiflow.models.published_neurons import PublishedNeurons

    return PublishedNeurons(Path(str(getattr(config, key))), DISPLAY, config.truth_input).eval()


def published_gain(
    units: pd.DataFrame, network: PublishedNeurons, display: NDArray, drive_hz: NDArray
) -> pd.DataFrame:
    """Set ``gain_hz`` such that the mean over images of gain times response is `drive_hz`."""
    scaled = units.copy()
    tuned = (units["network_unit"] >= 0).to_numpy()
    scaled.loc[tuned, "gain_hz"] = drive_hz[tuned] / network.responses(display).mean(axis=0)
    return scaled


def published_rates(units: pd.DataFrame, network: PublishedNeurons) -> Rates:
    """Rates in Hz of all units to images: gain times response of the network, plus baseline."""
    tuned = (units["network_unit"] >= 0).to_numpy()
    gain, baseline = units["gain_hz"].to_numpy(float), units["baseline_hz"].to_numpy(float)

    def rates(images: NDArray) -> NDArray[np.float64]:
        found = np.tile(baseline, (len(images), 1))
        found[:, tuned] += gain[tuned] * network.responses(images)
        return found

    return rates
