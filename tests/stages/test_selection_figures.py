"""The selection figures are drawn from the files of the stage, also in odd cases."""

import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.figures.selection import _pooled, _pooled_blocks, probe_places, rastermap
from meiflow.io.files import read_csv, write_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_raster
from meiflow.stages.selection import select
from meiflow.stages.selection_figures import draw_selection
from meiflow.stages.tables import build_tables
from meiflow.tables.raster import Raster

RULE = {"oracle_p_max": None, "oracle_min": None, "shuffles": 100, "notebook_measures": True}


@pytest.fixture(scope="module")
def drawn(small_results, tmp_path_factory):
    """A copy of the session with its selection and the figures."""
    results = Layout(tmp_path_factory.mktemp("selection"))
    shutil.copytree(small_results.trials.parent, results.trials.parent)
    has = SessionHas(spike_times=True)
    select(parse_config({"selection": RULE}), results, has)
    draw_selection(results, has)
    return results


@pytest.fixture
def results(drawn, tmp_path):
    shutil.copytree(drawn.root, tmp_path / "results")
    return Layout(tmp_path / "results")


def test_every_figure_is_there(drawn):
    names = {"rastermap", "rastermap_blocks", "correlations", "measures", "oracle", "probes"}
    for name in names:
        png, svg = drawn.selection_figures(name)
        assert png.read_bytes()[:4] == b"\x89PNG"
        assert "<svg" in svg.read_text()


def test_raster_time_is_the_sessions_and_has_its_gaps(small_results):
    raster = read_raster(small_results)
    shown = read_csv(small_results.presentations)
    figure = rastermap(raster, pd.DataFrame({"raster_place": range(8), "selected": True}))
    panels = figure.axes[:3]
    for panel, (_, block) in zip(panels, shown.groupby("block"), strict=True):
        low, high = panel.get_xlim()
        assert low == pytest.approx(block["start_s"].min())
        assert block["stop_s"].max() - 0.1 <= high <= block["stop_s"].max() + 1e-6
    assert panels[1].get_xlim()[0] - panels[0].get_xlim()[1] > 5


def test_source_tables_without_times_or_positions(tmp_path, rng):
    ids = np.repeat(np.arange(12), 6)
    counts = rng.poisson(rng.uniform(0, 8, (12, 2))[ids])
    counts[:, 1] = 0
    table = pd.DataFrame(
        {
            "trial_id": np.tile(np.arange(72), 2),
            "neuron_id": np.repeat(["a", "b"], 72),
            "spike_count": counts.T.ravel(),
            "image_id": np.tile(ids, 2),
        }
    )
    table.to_csv(tmp_path / "trials.csv", index=False)
    np.save(tmp_path / "images.npy", rng.uniform(size=(12, 8, 12)))
    config = parse_config(
        {
            "session": {"source": "tables", "trials": str(tmp_path / "trials.csv")},
            "image": {"width_deg": 9.0, "height_deg": 6.0},
            "selection": RULE,
        }
    )
    results = Layout(tmp_path / "results")
    build_tables(config, results, tmp_path / "images.npy", None)
    select(config, results, SessionHas())
    draw_selection(results, SessionHas())
    assert not any(path.exists() for path in results.selection_figures("probes"))
    assert all(path.exists() for path in results.selection_figures("rastermap", "oracle"))
    neurons = read_csv(results.selection)
    assert neurons["running_modulation"].isna().all()
    assert np.isnan(read_raster(results).bin_s)


def test_pooling_averages_and_tick_labels_count_the_selected():
    assert _pooled(np.arange(11.0)[:, None], 3)[:, 0].tolist() == [1, 4, 7, 9.5]
    table = pd.DataFrame({"neuron_id": ["1", "2", "3"], "selected": [True, False, True]})
    units = pd.DataFrame(
        {
            "neuron_id": ["1", "2", "3"],
            "area": ["VISp", "VISp", "VISl"],
            "probe": ["probeC", "probeC", "probeC"],
            "probe_vertical_position_um": [20, 40, 60],
        }
    )
    labels = [t.get_text() for t in probe_places(table, units).axes[0].get_xticklabels()]
    assert labels == ["probeC\nVISl\n1/1", "probeC\nVISp\n1/2"]


def test_a_unit_lost_in_the_last_block_looks_lost():
    counts = np.r_[np.tile([0, 2], 100), np.zeros(100, int)][:, None]
    block = np.repeat([0, 1, 2], 100)
    raster = Raster(counts, np.arange(300.0), block, 1.0, np.array(["a"]))
    first, second, last = _pooled_blocks(raster, np.array([0]), 10)
    assert (last < -1).all()
    assert (np.concatenate([first, second]) > 0.5).all()


def test_files_of_other_neurons_are_refused(results):
    write_csv(read_csv(results.selection).iloc[1:], results.selection)
    with pytest.raises(MeiflowError, match="contain different neurons; run the selection again"):
        draw_selection(results, SessionHas(spike_times=True))


def test_units_without_probes_are_explained(results):
    write_csv(read_csv(results.units).drop(columns="probe"), results.units)
    with pytest.raises(MeiflowError, match=r"units.csv: missing column probe; rebuild the tables"):
        draw_selection(results, SessionHas(spike_times=True))


def test_measures_are_drawn_where_no_oracle_is_defined(drawn):
    from meiflow.figures.selection import measure_scatters, oracle_ranked

    table = read_csv(drawn.selection)
    table[["oracle", "oracle_p", "oracle_low", "oracle_high", "oracle_chance"]] = np.nan
    for draw in (measure_scatters, oracle_ranked):
        assert draw(table).axes
