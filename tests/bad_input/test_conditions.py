"""A user's Gabors and gratings: trial tables with parameters in place of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meiflow.results.layout import Layout
from meiflow.stages.tables import build_tables
from tests.bad_input.catalogue import Case, csv, refused, tables_config, tables_session

FIRST = ["trial_id", "neuron_id", "spike_count"]
SHOWN = {
    "gabors": {"x_position": "10", "y_position": "-5", "orientation": "45"},
    "static_gratings": {"orientation": "30", "spatial_frequency": "0.04", "phase": "0.25"},
    "drifting_gratings": {"orientation": "225", "temporal_frequency": "4"},
    "flashes": {"color": "1"},
}
TEXTS = ["", "left", "nan", "inf", "1,5", "0x1", "TRUE", "1e400"]
BEYOND = {
    "x_position": ["61", "-200", "1e300"],
    "y_position": ["48", "-1e9"],
    "orientation": ["361", "-1045", "1e300"],
    "spatial_frequency": ["0", "-0.04", "16", "1e300"],
    "phase": ["90", "-1.5", "1e300"],
    "temporal_frequency": ["-4", "100.5", "1e300"],
    "color": ["0", "-2", "0.5", "255", "1e300"],
}


def table(stimulus: str, cells: dict[str, str], rows: int = 4) -> str:
    """A good table of one stimulus, with cells changed in its third line."""
    header = [*FIRST, *SHOWN[stimulus]]
    found = [{"trial_id": str(t), "neuron_id": "a", "spike_count": "1"} for t in range(rows)]
    lines = [[*row.values(), *SHOWN[stimulus].values()] for row in found]
    for name, value in cells.items():
        lines[1][header.index(name)] = value
    return csv(header, lines)


def cases(stimulus: str) -> list[Case]:
    found = []
    for key in SHOWN[stimulus]:
        for value in TEXTS:
            says = ("line 3",) if "," in value else (f"{key} is", "in row 3", "a number")
            found.append(Case(f"{key} {value or 'nothing'}", table(stimulus, {key: value}), says))
        for value in BEYOND[key]:
            says = (f"session.{stimulus}: {key} is", "in row 3", "expected")
            found.append(Case(f"{key} {value}", table(stimulus, {key: value}), says))
        lacking = table(stimulus, {}).replace(key, "other")
        found.append(Case(f"no {key}", lacking, (f"missing column {key}",)))
    good = table(stimulus, {})
    key = next(iter(SHOWN[stimulus]))
    other = "-1" if key == "color" else "7"
    two = table(stimulus, {"trial_id": "0", "neuron_id": "b", key: other})
    # a drifting grating may last up to 10 s
    most = "20002" if stimulus == "drifting_gratings" else "700"
    return [
        *found,
        Case("a negative count", table(stimulus, {"spike_count": "-1"}), ("row 3",)),
        Case("a broken count", table(stimulus, {"spike_count": "0.5"}), ("row 3",)),
        Case("too many spikes", table(stimulus, {"spike_count": most}), ("2000 per second",)),
        Case("an unknown neuron", table(stimulus, {"neuron_id": "c"}), ("neuron c",)),
        Case("a path as neuron", table(stimulus, {"neuron_id": "../a"}), ("invalid neuron_id",)),
        Case("a pair twice", good + good.splitlines()[1] + "\n", ("duplicate",)),
        Case("two stimuli in a trial", two, ("more than one stimulus",)),
        Case("semicolons", good.replace(",", ";"), ("semicolons",)),
        Case("header alone", good.splitlines()[0] + "\n", ("no trials",)),
        Case("empty", "", ("not a readable CSV",)),
    ]


ALL = [(name, case) for name in SHOWN for case in cases(name)]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tables_session(tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize("stimulus", SHOWN)
def test_the_good_table_is_good(stimulus: str, session: Path, tmp_path: Path) -> None:
    """Otherwise the others would be refused for another reason."""
    (tmp_path / "good.csv").write_text(table(stimulus, {}))
    config = tables_config(session, **{stimulus: str(tmp_path / "good.csv")})
    results = Layout(tmp_path / "out")
    build_tables(config, results, session / "images.npy", None)
    assert results.tuning.exists()


@pytest.mark.parametrize(("stimulus", "case"), ALL, ids=[f"{s} {c.name}" for s, c in ALL])
def test_a_wrong_table_is_explained(
    stimulus: str, case: Case, session: Path, tmp_path: Path, tried: Any
) -> None:
    path = case.write(tmp_path / "wrong.csv")
    config = tables_config(session, **{stimulus: str(path)})
    refused(
        lambda: build_tables(config, Layout(tmp_path / "out"), session / "images.npy", None),
        "wrong.csv",
        *case.says,
    )
    assert not (tmp_path / "out").exists()
    tried(stimulus, case.name)
