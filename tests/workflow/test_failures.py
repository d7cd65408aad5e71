"""An invalid configuration or input stops with one clear message and a nonzero status."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"session": {"aera": "VISp"}}, "unknown key session.aera (did you mean 'area'?)"),
        ({"mei": {"steps": "many"}}, "mei.steps: Input should be a valid integer, got 'many'"),
        ({"session": {"area": "VISx"}}, "session.area: 'VISx' is not simulated"),
        (
            {"session": {"source": "tables", "trials": "none.csv", "images": "."}},
            "session.trials: none.csv does not exist",
        ),
        (
            {"session": {"source": "nwb", "nwb": "bad.nwb", "images": "."}},
            "session.nwb: bad.nwb is not a readable NWB (HDF5) file",
        ),
    ],
)
def test_wrong_configuration_stops_before_any_work(project, document, message):
    (project.folder / "bad.nwb").write_text("not HDF5")
    project.configure("wrong.yaml", document)
    done = project.snakemake("--cores", "1", "--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "results").exists()


def test_area_without_units_stops_at_the_tables(project):
    """Only the recording shows that no unit is left."""
    project.configure("strict.yaml", {"session": {"quality": {"isi_violations_max": 1e-9}}})
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml", "strict.yaml")
    assert done.returncode != 0
    assert "meiflow: error: session.area: no unit in VISam" in done.stdout
    assert not (project.results / "tables" / "trials.csv").exists()


def test_selection_that_leaves_no_neuron(project):
    project.configure("nobody.yaml", {"selection": {"oracle_min": 0.999}})
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml", "nobody.yaml")
    assert done.returncode != 0
    assert "meiflow: error: selection: no neuron is left" in done.stdout
    assert not (project.results / "selection" / "neurons.csv").exists()
