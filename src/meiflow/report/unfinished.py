"""What a provisional report does not have yet."""

from __future__ import annotations

from meiflow.config.sections import Config
from meiflow.results.has import SessionHas


def without_later_stages(config: Config) -> Config:
    """The configuration without the stages that a provisional report does not wait for.

    Examples
    --------
    >>> without_later_stages(Config()).stimuli.make
    []
    """
    none = {"make": [], "custom": [], "invariance": False}
    return config.model_copy(
        update={
            "experiments": config.experiments.model_copy(update=none),
            "stimuli": config.stimuli.model_copy(update={"make": []}),
            "comparison": config.comparison.model_copy(update={"notebook": False}),
        }
    )


def still_missing(config: Config, has: SessionHas) -> list[str]:
    """What the report of a run will have, in words, and a provisional one does not.

    Parameters
    ----------
    config : Config
        The whole configuration.
    has : SessionHas

    Examples
    --------
    >>> still_missing(Config(), SessionHas(truth=True))[:2]
    ['whether each MEI can be trusted', 'the closed loop']
    """
    experiments = config.experiments
    parts = {
        "whether each MEI can be trusted": config.model.custom is None,
        "the closed loop": has.truth,
        "the comparison with recorded tuning": has.conditions,
        "the learning curves": config.model.learning_curve,
        "the in-silico experiments": experiments.make or experiments.custom,
        "the invariances": experiments.invariance,
        "the stimuli of other procedures": config.stimuli.make,
        "the movies": config.movie.model,
        "the figures of the selection": True,
        "the hashes of the inputs": True,
    }
    return [name for name, made in parts.items() if made]
