"""Additional stimuli to which models are fitted, from the tables of a session."""

from __future__ import annotations

import pandas as pd

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_auxiliary
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.session.schedule import PARAMETRIC
from meiflow.tables.counts import Trials


def auxiliary_stimuli(
    config: Config, results: Layout, has: SessionHas, trials: Trials, neurons: list[str]
) -> AuxiliaryStimuli:
    """The stimuli of ``model.learn_from``, with the responses of some neurons.

    Raises
    ------
    MeiflowError
        If gratings are requested but were not shown in the session.
    """
    return gather_auxiliary(
        config.model.learn_from,
        config.image.geometry,
        config.session.stimulus_parameters,
        trials,
        _gratings(results, has, neurons) if "static_gratings" in config.model.learn_from else None,
        neurons,
    )


def _gratings(results: Layout, has: SessionHas, neurons: list[str]) -> pd.DataFrame:
    if not has.gratings:
        raise MeiflowError(
            "model.learn_from: static_gratings were requested, but this session has none; remove "
            "static_gratings"
        )
    keys = PARAMETRIC["static_gratings"]
    table = read_csv(results.grating_responses, (*keys, "repeats", *neurons))
    return table.dropna(subset=[*keys, *neurons])
