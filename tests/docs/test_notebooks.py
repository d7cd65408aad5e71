"""The notebooks of the documentation: they run from top to bottom and are saved as run."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.docs.notebooks import FOLDER, NOTEBOOKS, run, tidied

# Claims in the text of a notebook.
CLAIMS = {
    "first_mei": """
assert responses["MEI"] > 0.9 * responses["best possible"] > 3 * responses["best image"]
shuffled = pop.score().query("model == 'model_shuffled'")["cc_norm"]
assert shuffled.abs().max() < 0.3
""",
    "a_session": """
trusted = run.summary["trusted"]
assert 0 < trusted.sum() < len(run) == 5
assert run.summary["neuron_id"].map(type).eq(str).all()
assert run.meis.dims == ("neuron", "y", "x")
assert (fraction[trusted.to_numpy()] > 0.9).all()
assert run.summary.loc[trusted, "cc_norm_model"].min() > 0.9
""",
    "own_model": """
good, short, control = map(held_out, networks.values())
assert good[0] > 0.85 and good[1] > 0.7 and max(map(abs, [short[0], control[0]])) < 0.3
assert min(fractions["400 images", n] for n in range(2)) > 0.9
assert max(fractions[name, n] for name in ("40 images", "shuffled") for n in range(2)) < 0.8
assert abs(fraction - fractions["400 images", 1]) < 0.05
""",
    "recorded_tuning": """
gabors = table[(table["curve"] == "gabors") & table["tuned"]]
assert (gabors["cc_abs"] > gabors["cc_others"] + 0.3).all()
frequency = table[(table["curve"] == "spatial_frequency")]
assert frequency["cc_others"].mean() > 0.6
""",
    "trust": """
a, b = scores.loc[pair["A"]], scores.loc[pair["B"]]
assert a["trusted"] and not b["trusted"]
assert fraction[pair["A"]] > 0.9 > fraction[pair["B"]]
assert a["fold_agreement"] > 0.95 and b["fold_agreement"] < 0.8
assert abs(nothing.score().set_index("model")["cc_abs"]["model"]) < 0.25
""",
    "colab": """
assert np.corrcoef(first.values.ravel(), simulated.ravel())[0, 1] > 0.9
scores = pop.score().set_index("model")["cc_norm"]
assert scores["model"] > 0.9 and abs(scores["model_shuffled"]) < 0.3
""",
}
# Between processors; what is printed has two or three digits.
TOLERANCE = 0.06
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: nbformat.NotebookNode) -> list[list[tuple[str, ...]]]:
    """Kinds of outputs of every code cell."""
    return [
        [(o.output_type, *sorted(o.get("data", ()))) for o in c.outputs] for c in code(notebook)
    ]


def printed(notebook: nbformat.NotebookNode) -> str:
    """Everything that the notebook prints, as text."""
    shown = [o for cell in code(notebook) for o in cell.outputs]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in shown)


def words(text: str) -> list[str]:
    return _NUMBER.sub("#", text).split()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that the last two find the session of the second."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.workflow
@pytest.mark.thorough
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_silently_and_gives_what_was_saved(path: Path, home: Path) -> None:
    saved = nbformat.read(path, as_version=4)
    again = tidied(run(path, home, CLAIMS[path.stem]))
    assert outputs(again) == [*outputs(saved), []]
    streams = [o for cell in code(again) for o in cell.outputs if "name" in o]
    assert {o.name for o in streams} <= {"stdout"}
    assert words(printed(again)) == words(printed(saved))
    new, old = (list(map(float, _NUMBER.findall(printed(one)))) for one in (again, saved))
    assert new == pytest.approx(old, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_saved_whole_and_small(path: Path) -> None:
    cells = code(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < 200_000
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_all_are_listed_and_install_what_is_missing() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {path.name for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        first = code(nbformat.read(path, as_version=4))[0].source
        assert 'find_spec("meiflow") is None' in first
        assert '"pip", "install"' in first


def test_the_notebooks_of_one_session_have_one_configuration() -> None:
    """Otherwise the fourth and fifth would run it again, with other results."""
    found = {
        cell.source
        for path in NOTEBOOKS
        for cell in code(nbformat.read(path, as_version=4))
        if "CONFIG =" in cell.source
    }
    assert len(found) == 1
