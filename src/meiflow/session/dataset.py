"""The sessions of a configuration: one, a list, or all sessions in the warehouse."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from meiflow.config.config import check_inputs, parse_config
from meiflow.config.given_paths import merged
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.session.source import SessionFiles, session_files

# Folder of the combined results; not allowed as a session id.
COMBINED = "combined"


class Dataset:
    """Configuration and files of every session to run.

    Parameters
    ----------
    config : Config
        As written. Its key ``sessions`` lists ids, or keys that override those of ``session``;
        None means the single session described by ``session``, "all" the sessions of the warehouse.

    Raises
    ------
    MeiflowError
        If an entry is not a valid session, or if the sessions cannot be run together.

    Examples
    --------
    >>> from meiflow.config.config import parse_config
    >>> mice = Dataset(parse_config({"sessions": ["mouse1", {"id": "mouse2", "area": "VISp"}]}))
    >>> mice.ids, mice.config_of("mouse2").session.area
    (('mouse1', 'mouse2'), 'VISp')
    >>> mice.config_of("mouse1").session.simulation.seed
    890249222
    """

    def __init__(self, config: Config) -> None:
        self._written = config
        self.config = config.for_source()
        self.many = config.sessions is not None
        self.ids: tuple[str, ...] | None = None
        self._configs: dict[str, Config] = {}
        if config.sessions == "all":
            if config.session.source != "allen":
                raise MeiflowError(
                    "sessions: 'all' requires session.source allen, got "
                    f"{config.session.source}; change the source or list the ids"
                )
            return
        if config.sessions is None:
            self._configs = {config.session.id: self.config}
        else:
            for number, entry in enumerate(config.sessions):
                own = self._parse(entry, f"sessions.{number}")
                if own.session.id in self._configs:
                    raise MeiflowError(
                        f"sessions.{number}: duplicate session {own.session.id!r}; remove one"
                    )
                self._configs[own.session.id] = own
        self.ids = tuple(self._configs)

    def _parse(self, entry: str | Mapping[str, Any], where: str) -> Config:
        more = {"id": entry} if isinstance(entry, str) else dict(entry)
        document = self._written.model_dump(mode="json")
        simulation: Any = more.get("simulation", {})
        if not isinstance(simulation, Mapping):
            raise MeiflowError(f"{where}.simulation: expected keys with values")
        units = simulation.get("units")
        document["session"] = merged(document["session"], more)
        if units is not None:  # areas replace those of the section `session`
            document["session"]["simulation"]["units"] = units
        document["sessions"] = None
        config = parse_config(document, where)
        session = config.session
        if session.id == COMBINED:
            raise MeiflowError(
                f"{where}.id: {COMBINED!r} is reserved for the folder of the combined results"
            )
        if session.source == "simulated" and session.simulation.seed is None:
            seed = zlib.crc32(f"{config.seed}/{session.id}".encode()) % 2**31
            simulation = session.simulation.model_copy(update={"seed": seed})
            session = session.model_copy(update={"simulation": simulation})
        return config.model_copy(update={"session": session}).for_source()

    def config_of(self, session: str) -> Config:
        """The configuration of one session, as if the session were run alone."""
        if session not in self._configs:
            if self.config.sessions != "all":
                raise MeiflowError(f"sessions: unknown session {session!r}")
            self._configs[session] = self._parse(session, "sessions")
        return self._configs[session]

    @cache  # noqa: B019
    def files_of(self, session: str) -> SessionFiles:
        """Paths of the inputs of one session, whether or not they exist yet."""
        return session_files(self.config_of(session), Path("results", session))

    @property
    def example(self) -> Config:
        """A representative configuration, which determines the stages of all sessions."""
        return self.config if self.ids is None else self._configs[self.ids[0]]

    @property
    def pattern(self) -> SessionFiles:
        """Paths of files made or downloaded by the workflow.

        With several sessions they contain the wildcard {session}. For the sources nwb and tables
        they are those of the first session; use `files_of` instead.
        """
        if not self.many:
            return self.files_of(self.config.session.id)
        session = self.example.session.model_copy(update={"id": "{session}"})
        config = self.example.model_copy(update={"session": session})
        return session_files(config, Path("results/{session}"))

    @property
    def constraint(self) -> str:
        """Regular expression that matches the ids."""
        return r"\d+" if self.ids is None else "|".join(re.escape(i) for i in self.ids)

    def check(self) -> None:
        """Check that every session is available and that all can be run as one workflow.

        Raises
        ------
        MeiflowError
            With the session and the key.
        """
        shapes = {}
        for session in self.ids or ():
            config = self.config_of(session)
            try:
                check_inputs(config)
                shapes[session] = _shape(config, self.files_of(session))
            except MeiflowError as error:
                raise MeiflowError(
                    f"sessions, {session}: {error}" if self.many else str(error)
                ) from None
        if self.ids is None:
            check_inputs(self.config)
        for session, shape in shapes.items():
            first, wanted = next(iter(shapes.items()))
            for what in shape:
                if shape[what] != wanted[what]:
                    raise MeiflowError(
                        f"sessions: {session} and {first} differ in {what} ({shape[what]} and "
                        f"{wanted[what]}) and need different stages; run them separately"
                    )


def _shape(config: Config, files: SessionFiles) -> dict[str, Any]:
    """Properties that determine which stages a session has."""
    simulated = config.session.source == "simulated"
    return {
        "session.source": config.session.source,
        "recorded Gabors": "gabors" in files.shown,
        "recorded gratings": "static_gratings" in files.shown,
        "recorded drifting gratings": "drifting_gratings" in files.shown,
        "recorded flashes": "flashes" in files.shown,
        "natural movies": files.movies is not None,
        "session.simulation.movie_repeats": sorted(config.session.simulation.movie_repeats)
        if simulated
        else None,
        "session.simulation.frames": config.session.simulation.frames if simulated else None,
        "natural scenes": files.images is not None if simulated else None,
    }
