"""Features of a session, which determine its results."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout


@dataclass(frozen=True)
class SessionHas:
    """Features of a session in addition to trials and images.

    The workflow passes them explicitly, so that no file left by an earlier run is used as a result
    of this one.

    Parameters
    ----------
    spike_times : bool
        Whether there are spike times, i.e. the session was read from a session file.
    gabors, gratings : bool
        Whether Gabors and static gratings were shown.
    movies : bool
        Whether natural movies were shown and their frames are known.
    truth : bool
        Whether the session is simulated.
    drifting, flashes : bool
        Whether drifting gratings and flashes were shown.
    """

    spike_times: bool = False
    gabors: bool = False
    gratings: bool = False
    movies: bool = False
    truth: bool = False
    drifting: bool = False
    flashes: bool = False

    @property
    def conditions(self) -> bool:
        """Whether parametric stimuli were shown that the models can predict."""
        return self.gabors or self.gratings

    @property
    def tuning(self) -> bool:
        """Whether any parametric stimuli were shown."""
        return self.conditions or self.drifting or self.flashes

    @classmethod
    def parse(cls, text: str) -> SessionHas:
        """Parse names separated by commas; ``none`` or an empty text for none.

        Raises
        ------
        MeiflowError
            If a name is unknown.

        Examples
        --------
        >>> SessionHas.parse("gabors,truth").gabors
        True
        """
        names = [name for name in text.split(",") if name not in ("", "none")]
        known = list(asdict(cls()))
        unknown = set(names) - set(known)
        if unknown:
            raise MeiflowError(
                f"--has: unknown {', '.join(sorted(unknown))}; allowed: {', '.join(known)}, none"
            )
        return cls(**dict.fromkeys(names, True))

    def __str__(self) -> str:
        return ",".join(name for name, value in asdict(self).items() if value) or "none"

    @classmethod
    def found(cls, results: Layout) -> SessionHas:
        """Features found in the tables; the tables stage removes those of other sessions."""
        return cls(
            results.presentations.exists(),
            results.gabor_trials.exists(),
            results.grating_trials.exists(),
            results.movie_responses.exists(),
            results.truth.exists(),
            results.drifting_trials.exists(),
            results.flash_trials.exists(),
        )
