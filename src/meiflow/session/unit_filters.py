"""Units in the requested areas that pass the filters, and the number that each filter excludes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError, closest
from meiflow.progress import note
from meiflow.session.reader import SessionReader

VALID = "label, channel or structure"
UNKNOWN_ADVICE = "; name the column of areas in session.columns.units.area, or use session.area all"
# Metric, its key in session.quality, and whether the key is a maximum.
FILTERS = (
    ("isi_violations", "isi_violations_max", True),
    ("amplitude_cutoff", "amplitude_cutoff_max", True),
    ("presence_ratio", "presence_ratio_min", False),
)


@dataclass(frozen=True)
class Step:
    """A filter: its name, and the number of units that it excludes.

    ``missing`` of the ``excluded`` units have no value of the metric (NaN), and ``left`` units
    remain.
    """

    name: str
    excluded: int
    missing: int
    left: int

    def __str__(self) -> str:
        unknown = f", {self.missing} of them without a value" if self.missing else ""
        return f"{self.name} excludes {self.excluded}{unknown} ({self.left} left)"


def filtered(units: pd.DataFrame, quality: Quality) -> tuple[pd.DataFrame, list[Step]]:
    """Units that pass the quality filters, which are applied in turn.

    Parameters
    ----------
    units : DataFrame
        Columns isi_violations, amplitude_cutoff and presence_ratio.
    quality : Quality
        A limit of None switches its filter off; otherwise a unit without a value is excluded, as by
        AllenSDK.

    Returns
    -------
    units : DataFrame
    steps : list of Step

    Examples
    --------
    >>> nan = float("nan")
    >>> table = {"isi_violations": [0.1, 0.9, nan], "amplitude_cutoff": 0.01, "presence_ratio": 1.0}
    >>> kept, steps = filtered(pd.DataFrame(table), Quality())
    >>> list(kept.index), str(steps[0])
    ([0], 'session.quality.isi_violations_max 0.5 excludes 2, 1 of them without a value (1 left)')
    >>> len(filtered(pd.DataFrame(table), Quality(isi_violations_max=None))[0])
    3
    """
    steps = []
    for metric, key, is_maximum in FILTERS:
        limit = getattr(quality, key)
        if limit is None:
            continue
        values = units[metric]
        good = values <= limit if is_maximum else values >= limit
        name = f"session.quality.{key} {limit:g}"
        steps.append(Step(name, int((~good).sum()), int(values.isna().sum()), int(good.sum())))
        units = units[good]
    return units, steps


def why_none(steps: Sequence[Step]) -> str:
    """Which filter leaves no unit, and what can help, to follow a colon.

    Examples
    --------
    >>> why_none([Step("session.quality.presence_ratio_min 0.95", 8, 8, 0)])[39:]
    ' excludes all 8, because none has a value (NaN); use null to switch this filter off'
    """
    last = next((step for step in steps if not step.left), None)
    if last is None:
        return "the file has none"
    if last.name == VALID:
        return (
            f"{last.name} excludes all {last.excluded}, because none has the label 'good' and a "
            "valid channel in a known structure"
        )
    if last.missing == last.excluded:
        return (
            f"{last.name} excludes all {last.excluded}, because none has a value (NaN); use null "
            "to switch this filter off"
        )
    some = f", {last.missing} of them without a value (NaN)" if last.missing else ""
    earlier = [str(step) for step in steps[: steps.index(last)] if step.excluded]
    before = f" after {'; '.join(earlier)}" if earlier else ""
    return (
        f"{last.name} excludes the last {last.excluded}{some}{before}; relax the filters, or use "
        "null to switch one off"
    )


def units_of(
    session: SessionReader,
    areas: tuple[str, ...] | None,
    quality: Quality,
    path: Path,
    any_area: bool,
) -> tuple[pd.DataFrame, list[Step]]:
    """Units in the areas that pass the filters, by id, and what each filter excludes.

    Parameters
    ----------
    session : SessionReader
    areas : tuple of str or None
        Structure acronyms; None for all.
    quality : Quality
    path : path
        The file, used in messages.
    any_area : bool
        Whether units in one of the areas are sufficient.

    Raises
    ------
    MeiflowError
        If an area was not recorded, or no unit passes.
    """
    valid = session.units
    tables = session.channels, session.all_units
    present = sorted({a for t in tables for a in t["ecephys_structure_acronym"].dropna()})
    faults = []

    def chosen(*names: str) -> tuple[pd.DataFrame, list[Step]]:
        here = valid["ecephys_structure_acronym"].isin(names or present)
        whole = units_in_file(session, names or None)[1]
        good = valid[here]
        step = Step(VALID, whole - len(good), 0, len(good))
        units, steps = filtered(good, quality)
        return units, [step, *steps]

    for area in areas or ():
        if area not in present:
            faults.append(
                f"session.area: {area!r} was not recorded in {path.name}; it has "
                f"{', '.join(present) or 'no channel in a known structure'}{closest(area, present)}"
                + (UNKNOWN_ADVICE if present == ["unknown"] else "")
            )
            continue
        units, steps = chosen(area)
        if units.empty:
            faults.append(
                f"session.area: no unit in {area} in {path.name} passes the filters: "
                f"{why_none(steps)}"
            )
    units, steps = chosen(*areas or ())
    if faults and (units.empty or not any_area):
        raise MeiflowError(faults[0])
    for fault in faults:
        note(fault)
    if units.empty:
        raise MeiflowError(
            f"session.quality: no unit in {path.name} passes the filters: {why_none(steps)}"
        )
    for step in steps:
        if step.missing:
            note(f"{path.name}: {step}")
    return units.sort_index(), steps


def units_in_file(session: SessionReader, areas: tuple[str, ...] | None) -> tuple[int, int]:
    """Number of units in the file, and in the areas, before any filter."""
    places = session.all_units["ecephys_structure_acronym"]
    here = places.isin(areas) if areas is not None else pd.Series(True, places.index)
    return len(places), int(here.sum())
