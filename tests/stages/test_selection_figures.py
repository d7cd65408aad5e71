"""The selection's figures are drawn from what the stage wrote, also in odd cases."""

import numpy as np
import pandas as pd
import pytest
from meiflow.selection.select import select_neurons

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.figures.selection import _pooled, _pooled_blocks, probe_places, rastermap
from meiflow.io.files import read_csv
from meiflow.stages.selection_figures import draw_selection
from meiflow.stages.tables import build_tables
from meiflow.tables.raster import Raster, read_raster

RULE = {"oracle_p_max": None, "oracle_min": None, "shuffles": 100, "notebook_measures": True}


@pytest.fixture(scope="module")
def drawn(small_tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("selection")
    config = parse_config({"selection": RULE})
    select_neurons(config, small_tables, small_tables / "presentations.csv", folder)
    draw_selection(small_tables, folder, True, folder)
    return folder


def test_every_figure_is_there(drawn):
    names = {"rastermap", "rastermap_blocks", "correlations", "measures", "oracle", "probes"}
    for name in names:
        assert (drawn / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert "<svg" in (drawn / f"{name}.svg").read_text()


def test_the_table_has_both_sets_of_numbers(drawn, small_tables):
    table = read_csv(drawn / "neurons.csv")
    assert table["notebook_oracle"].notna().any()
    assert sorted(table["raster_place"]) == list(range(len(table)))
    assert table["running_modulation"].notna().all()
    inside = table[table["oracle"].notna()]
    assert (inside["oracle_low"] <= inside["oracle_high"]).all()
    pairs = np.load(drawn / "correlations.npz", allow_pickle=False)
    row = table.iloc[0]
    partner = list(pairs["neuron_ids"]).index(str(row["most_correlated"]))
    assert pairs["signal"][0, partner] == pytest.approx(row["highest_correlation"], abs=1e-7)


def test_raster_time_is_the_sessions_and_has_its_gaps(small_tables):
    raster = read_raster(small_tables / "raster.npz")
    shown = read_csv(small_tables / "presentations.csv")
    figure = rastermap(raster, pd.DataFrame({"raster_place": range(8), "selected": True}))
    panels = figure.axes[:3]
    for panel, (_, block) in zip(panels, shown.groupby("block"), strict=True):
        low, high = panel.get_xlim()
        assert low == pytest.approx(block["start_s"].min())
        assert block["stop_s"].max() - 0.1 <= high <= block["stop_s"].max() + 1e-6
    assert panels[1].get_xlim()[0] - panels[0].get_xlim()[1] > 5


def test_raster_counts_the_spikes_of_the_scenes(small_tables, small_session):
    from meiflow.config.sections import Quality
    from meiflow.session.recording import read_session

    raster = read_raster(small_tables / "raster.npz")
    session = read_session(small_session / "session.nwb", ("VISam",), Quality())
    for column, train in enumerate(session.spike_times):
        start = raster.start_s[:, None]
        inside = (train > start) & (train <= start + raster.bin_s)
        np.testing.assert_array_equal(raster.counts[:, column], inside.sum(axis=1))


def test_source_tables_without_times_or_places(tmp_path, rng):
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
            "selection": RULE,
        }
    )
    build_tables(config, tmp_path / "images.npy", None, tmp_path / "t")
    select_neurons(config, tmp_path / "t", None, tmp_path / "s")
    draw_selection(tmp_path / "t", tmp_path / "s", False, tmp_path / "s")
    assert not (tmp_path / "s" / "probes.png").exists()
    neurons = read_csv(tmp_path / "s" / "neurons.csv")
    assert neurons["running_modulation"].isna().all()
    assert np.isnan(read_raster(tmp_path / "t" / "raster.npz").bin_s)


def test_pooling_averages_and_places_name_their_share():
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


def test_a_raster_of_blocks_has_no_bin_in_a_gap():
    scenes = pd.DataFrame(
        {"start_time": [0.0, 0.25, 10.0], "stop_time": [0.25, 0.5, 10.25], "block": [3, 3, 8]}
    )
    raster = Raster.of_blocks([np.array([0.05, 0.45, 5.0, 10.15])], scenes, ["a"])
    assert raster.block.tolist() == [0] * 5 + [1] * 2
    assert raster.counts[:, 0].tolist() == [1, 0, 0, 0, 1, 0, 1]


def test_a_unit_lost_in_the_last_block_looks_lost():
    counts = np.r_[np.tile([0, 2], 100), np.zeros(100, int)][:, None]
    block = np.repeat([0, 1, 2], 100)
    raster = Raster(counts, np.arange(300.0), block, 1.0, np.array(["a"]))
    first, second, last = _pooled_blocks(raster, np.array([0]), 10)
    assert (last < -1).all()
    assert (np.concatenate([first, second]) > 0.5).all()


def test_counts_beyond_16_bit_are_kept(tmp_path):
    counts = np.array([[70_000], [3]])
    raster = Raster(counts, np.arange(2.0), np.zeros(2, int), np.nan, np.array(["a"]))
    raster.write(tmp_path / "raster.npz")
    assert read_raster(tmp_path / "raster.npz").counts[:, 0].tolist() == [70_000, 3]


def test_files_of_other_neurons_are_refused(drawn, small_tables, tmp_path):
    for name in ("correlations.npz", "neurons.csv"):
        (tmp_path / name).write_bytes((drawn / name).read_bytes())
    read_csv(tmp_path / "neurons.csv").iloc[1:].to_csv(tmp_path / "neurons.csv", index=False)
    with pytest.raises(MeiflowError, match="not of the same neurons; run the selection again"):
        draw_selection(small_tables, tmp_path, True, tmp_path)


def test_probes_that_nobody_told_of_are_explained(drawn, small_tables, tmp_path):
    for file in small_tables.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    read_csv(tmp_path / "units.csv").drop(columns="probe").to_csv(
        tmp_path / "units.csv", index=False
    )
    with pytest.raises(MeiflowError, match=r"units.csv: tells no probes; draw with --no-probes"):
        draw_selection(tmp_path, drawn, True, tmp_path)


def test_measures_are_drawn_where_no_oracle_is_defined(drawn):
    from meiflow.figures.selection import measure_scatters, oracle_ranked

    table = read_csv(drawn / "neurons.csv")
    table[["oracle", "oracle_p", "oracle_low", "oracle_high", "oracle_chance"]] = np.nan
    for draw in (measure_scatters, oracle_ranked):
        assert draw(table).axes
