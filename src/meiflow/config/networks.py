"""Checks of the files of networks that a configuration names."""

from __future__ import annotations

from pathlib import Path

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.paths import require_path


def check_core(config: Config) -> None:
    """Check that the core is there, or is downloaded with the session.

    Raises
    ------
    MeiflowError
        If it is missing.
    """
    network = config.for_source().model.network
    path, known = network.core_path, network.known_core
    if known and config.session.source == "allen":
        return  # downloaded with the session
    if known and not known.path.exists():
        raise MeiflowError(
            f"model.network.core: {network.core} is not in {path}; download it once with meiflow "
            f"core {network.core}"
        )
    kind = "core, made by meiflow pretrain or published"
    require_path("model.network.core", None if path is None else str(path), kind=kind)


def check_simulated(config: Config) -> None:
    """Check the networks whose neurons are simulated.

    Raises
    ------
    MeiflowError
        If one is missing, or is also the core.
    """
    simulation = config.session.simulation
    for key in ("truth", "judge"):
        path = getattr(simulation, key)
        require_path(f"session.simulation.{key}", path, kind="published network")
        core = config.model.network.core_path
        if path is not None and core is not None and Path(path).samefile(core):
            raise MeiflowError(
                f"session.simulation.{key}: {path} is also model.network.core, so that the models "
                "would use the features of the neurons that they predict; give another network"
            )
