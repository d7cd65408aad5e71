"""An invalid configuration or input stops with one clear message and a nonzero status."""

from __future__ import annotations

import pytest

from tests.project import SECONDS, Project, altered, make_project

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]
RUN = ("--configfile", "small.yaml")


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


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Project:
    """A project with the tables of a session only."""
    project = make_project(tmp_path_factory.mktemp("simulated"), altered(SECONDS))
    done = project.snakemake("--cores", "2", *RUN, "--", "results/demo/tables/trials.csv")
    assert done.returncode == 0, done.stdout[-3000:]
    return project


def test_selection_that_leaves_no_neuron(simulated):
    simulated.configure("nobody.yaml", {"selection": {"oracle_min": 0.999}})
    done = simulated.snakemake("--cores", "2", *RUN, "nobody.yaml")
    assert done.returncode != 0
    assert "meiflow: error: selection: no neuron is left" in done.stdout
    assert not (simulated.results / "selection" / "neurons.csv").exists()


def test_area_without_units_stops_at_the_tables(simulated):
    """Only the recording shows that no unit is left."""
    simulated.configure("strict.yaml", {"session": {"quality": {"isi_violations_max": 1e-9}}})
    done = simulated.snakemake("--cores", "2", *RUN, "strict.yaml")
    assert done.returncode != 0
    assert "meiflow: error: session.area: no unit in VISam" in done.stdout
    assert not (simulated.results / "tables" / "trials.csv").exists()
