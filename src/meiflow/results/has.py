"""What a session has, which decides which results there are."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout


@dataclass(frozen=True)
class SessionHas:
    """What a session has beside trials and images.

    The workflow states it, so that no file left behind by an earlier run is taken for a result of
    this one.

    Parameters
    ----------
    spike_times : bool
        It comes from a session file.
    gabors, gratings : bool
        It showed Gabors, static gratings.
    truth : bool
        It is simulated.
    """

    spike_times: bool = False
    gabors: bool = False
    gratings: bool = False
    truth: bool = False

    @property
    def conditions(self) -> bool:
        """Whether stimuli with parameters were shown."""
        return self.gabors or self.gratings

    @classmethod
    def parse(cls, text: str) -> SessionHas:
        """Read names separated by commas; ``none`` or nothing for none.

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
        """What the tables of a session have: the tables stage leaves none of another session."""
        return cls(
            results.presentations.exists(),
            results.gabor_trials.exists(),
            results.grating_trials.exists(),
            results.truth.exists(),
        )
