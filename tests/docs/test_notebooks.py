"""The notebooks of the documentation: they run from top to bottom and are saved as run."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT
from tests.project import finished_project

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# Claims in the text of a notebook.
CLAIMS = {
    "colab.ipynb": """
assert np.corrcoef(first.values.ravel(), simulated.ravel())[0, 1] > 0.9
scores = pop.score().set_index("model")["cc_norm"]
assert scores["model"] > 0.9 and abs(scores["model_shuffled"]) < 0.3
""",
    "first_mei.ipynb": """
assert responses["MEI"] > 0.95 * responses["best possible"] > 3 * responses["best image"]
assert np.corrcoef(mine.values.ravel(), simple.ravel())[0, 1] > 0.99
shuffled = pop.score().query("model == 'model_shuffled'")["cc_norm"]
assert shuffled.abs().max() < 0.3
assert run.summary["neuron_id"].map(type).eq(str).all()
assert run.meis.dims == ("neuron", "y", "x")
""",
}


def outputs(notebook: nbformat.NotebookNode) -> list[list[tuple[str, ...]]]:
    """Kinds of outputs of every code cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[(o.output_type, *sorted(o.get("data", ()))) for o in cell.outputs] for cell in cells]


@pytest.mark.workflow
@pytest.mark.thorough
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_silently_and_gives_what_was_saved(
    path: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After `make run`, from the notebook's folder, as in Jupyter."""
    (tmp_path / "results").symlink_to(finished_project(tmp_path_factory).folder / "results")
    home = tmp_path / "docs" / "notebooks"
    home.mkdir(parents=True)
    saved = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(CLAIMS[path.name]))
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(home)}})
    client.execute()
    assert outputs(notebook) == [*outputs(saved), []]
    streams = [o for c in notebook.cells for o in c.get("outputs", ()) if "name" in o]
    assert {o.name for o in streams} <= {"stdout"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_saved_whole_and_small(path: Path) -> None:
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < 300_000
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]
