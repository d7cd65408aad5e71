"""Tuning to drifting gratings and flashes: closed forms, and AllenSDK's own analysis."""

import logging
import shutil
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import check_inputs, parse_config
from meiflow.errors import MeiflowError
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_conditions
from meiflow.session.recording import read_session
from meiflow.session.schedule import drifting_conditions, flash_conditions
from meiflow.session.sdk import _restore_numpy_names
from meiflow.session.source import session_files
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.tables.conditions import Conditions
from meiflow.tables.counts import TRIAL_COLUMNS, count_spikes, outside
from meiflow.tables.drifting import (
    COLUMNS,
    drifting_preferences,
    modulation_ratio,
    modulation_ratios,
    on_off_ratio,
)
from meiflow.tables.tuning import tuning_table

SIMULATION = {
    "units": {"VISam": 12},
    "failing_fraction": 0.1,
    "kinds": ["simple", "complex", "on_centre"],
    "frames": 10,
    "repeats": 2,
    "gabor_repeats": 0,
    "grating_repeats": 0,
    "drifting_repeats": 3,
    "flash_repeats": 12,
    "frame_height": 60,
    "frame_width": 78,
    "statistics": "ideal",
    "mean_rate_hz": 20.0,
    "gain_drift": 0.05,
}
# Whole presentations, as AllenSDK counts.
CONFIG = parse_config({"session": {"simulation": SIMULATION, "window_s": [0.0, None]}})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("moving"))
    simulate(CONFIG, layout)
    build_tables(CONFIG, layout, layout.scenes, layout.session_file)
    return layout


@pytest.fixture(scope="module")
def recording(results):
    return read_session(results.session_file, ("VISam",), CONFIG.session.quality)


@pytest.fixture(scope="module")
def allen(results):
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        yield EcephysSession.from_nwb_path(str(results.session_file))


def test_tables_of_a_session_with_drifting_gratings_and_flashes(results, recording):
    has = SessionHas.found(results)
    assert has == SessionHas(spike_times=True, truth=True, drifting=True, flashes=True)
    assert has.tuning
    assert not has.conditions
    for name, wanted, repeats in (
        ("drifting_gratings", drifting_conditions(), 3),
        ("flashes", flash_conditions(), 12),
    ):
        found = read_conditions(results, name)
        np.testing.assert_array_equal(found.parameters, wanted)
        assert set(found.repeats) == {repeats}
        assert found.counts.sum() > 100
    # 2 s, not the 0.25 s of the other stimuli; blanks are not counted
    moving = recording.conditions["drifting_gratings"]
    assert len(moving) == 120
    starts, stops = moving["start_time"], moving["stop_time"]
    counts = count_spikes(recording.spike_times, starts, stops)
    np.testing.assert_array_equal(read_conditions(results, "drifting_gratings").counts, counts)
    np.testing.assert_allclose(stops - starts, 2.0)
    assert pd.read_csv(results.tuning)["rf_x_deg"].isna().all()


def test_drifting_gratings_are_counted_whole_whatever_the_window(results, tmp_path):
    other = Layout(tmp_path)
    config = parse_config({"session": {"simulation": SIMULATION, "window_s": [0.05, 0.2]}})
    build_tables(config, other, results.scenes, results.session_file)
    ours, theirs = (read_conditions(r, "drifting_gratings") for r in (other, results))
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    ours, theirs = (read_conditions(r, "flashes") for r in (other, results))
    assert ours.counts.sum() < theirs.counts.sum()


@pytest.mark.filterwarnings("ignore")
def test_preferences_and_selectivity_agree_with_allensdk(results, allen):
    from allensdk.brain_observatory.ecephys.stimulus_analysis.drifting_gratings import (
        DriftingGratings,
    )

    recorded = read_conditions(results, "drifting_gratings")
    means, names = recorded.mean_table(), recorded.neuron_ids
    tuning = tuning_table(names, None, None, means).astype({"neuron_id": int})
    theirs = DriftingGratings(allen, filter=tuning["neuron_id"].tolist())
    statistics = theirs.conditionwise_statistics["spike_mean"]
    compared = 0
    for unit, ours in tuning.set_index("neuron_id").iterrows():
        shown = theirs.stimulus_conditions
        for _, row in means.iterrows():  # AllenSDK's own mean of every condition
            [at] = shown.index[
                (shown["orientation"] == row["orientation"])
                & (shown["temporal_frequency"] == row["temporal_frequency"])
            ]
            assert statistics[unit, at] == pytest.approx(row[str(unit)], rel=1e-12)
        for key, get, column in (
            ("orientation", theirs._get_pref_ori, "pref_direction_deg"),
            ("temporal_frequency", theirs._get_pref_tf, "pref_temporal_frequency_hz"),
        ):
            curve = means.groupby(key)[str(unit)].mean()
            if (np.abs(curve - curve.max()) < 1e-9).sum() == 1:  # if values tie, either is correct
                assert ours[column] == get(unit)
                compared += 1
        for kind, column in (
            ("dsi", "direction_selectivity"),
            ("osi", "drifting_orientation_selectivity"),
        ):
            wanted = theirs._get_selectivity(unit, ours["pref_temporal_frequency_hz"], kind)
            assert ours[column] == pytest.approx(wanted, abs=1e-12)
    assert compared > 15
    columns = [column for column in COLUMNS if column != "f1_f0"]
    written = pd.read_csv(results.tuning)[columns]
    np.testing.assert_allclose(written, tuning[columns], rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_on_off_ratio_agrees_with_allensdk(results, allen):
    from allensdk.brain_observatory.ecephys.stimulus_analysis.flashes import Flashes

    tuning = pd.read_csv(results.tuning).set_index("neuron_id")
    theirs = Flashes(allen, filter=tuning.index.tolist())
    wanted = [theirs._get_on_off_ratio(unit) for unit in tuning.index]
    assert np.isfinite(wanted).sum() > 5
    np.testing.assert_allclose(tuning["on_off_ratio"], wanted, rtol=1e-6)


def test_lost_presentations_and_tables_of_another_session(results, tmp_path):
    """A probe may miss all flashes; of stimuli that were not shown, no tables stay."""
    copy, other = tmp_path / "copy.nwb", Layout(tmp_path / "out")
    shutil.copy(results.session_file, copy)
    shown = read_session(copy, ("VISam",), CONFIG.session.quality).conditions["flashes"]
    lost = np.array([[shown["start_time"].min(), shown["stop_time"].max()]])
    assert outside(shown, (0.0, None), lost, "flashes", required=False).empty
    with pytest.raises(MeiflowError, match="during all flashes"):
        outside(shown, (0.0, None), lost, "flashes")
    build_tables(CONFIG, other, results.scenes, copy)
    names = [f"{s}_{k}" for s in ("drifting", "flash") for k in ("responses", "trials")]
    assert all(path.exists() for path in other.named(*names, "tuning"))
    with h5py.File(copy, "r+") as file:
        for name in ("drifting_gratings", "flashes"):
            del file[f"intervals/{name}_presentations"]
    build_tables(CONFIG, other, results.scenes, copy)
    assert not any(path.exists() for path in other.named(*names, "tuning"))


def test_blanks_are_left_out_with_a_message(results, caplog):
    caplog.set_level(logging.INFO)
    read_session(results.session_file, ("VISam",), CONFIG.session.quality)
    assert "drifting_gratings: excluded 6 of 126 presentations without parameters" in caplog.text


def test_tuning_of_own_tables(tmp_path):
    """Preferences from counts alone; F1/F0 needs spike times."""
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((5, 8, 12)))
    rows = [(t, n, t % 3, t % 5) for t in range(10) for n in "ab"]
    tables = {"trials": pd.DataFrame(rows, columns=TRIAL_COLUMNS)}
    moving = pd.DataFrame({"trial_id": range(4), "neuron_id": "b", "spike_count": [0, 0, 300, 0]})
    moving = moving.assign(orientation=[0, 90, 180, 270], temporal_frequency=2)
    tables["drifting_gratings"] = moving
    flashes = pd.DataFrame({"trial_id": range(2), "neuron_id": "b", "spike_count": [4, 2]})
    tables["flashes"] = flashes.assign(color=[1, -1])
    session = {"source": "tables", "images": str(tmp_path / "images.npy")}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        session[name] = str(tmp_path / f"{name}.csv")
    config = parse_config(
        {
            "session": session,
            "image": {"height": 8, "width": 12, "width_deg": 121.24, "height_deg": 94.8},
        }
    )
    check_inputs(config)
    assert session_files(config, tmp_path).shown == ("drifting_gratings", "flashes")
    other = Layout(tmp_path / "out")
    build_tables(config, other, tmp_path / "images.npy", None)
    tuning = pd.read_csv(other.tuning).set_index("neuron_id")
    assert tuning.loc["b", ["pref_direction_deg", "direction_selectivity"]].tolist() == [180, 1]
    assert tuning.loc["b", "on_off_ratio"] == 2
    assert tuning["f1_f0"].isna().all()
    assert tuning.loc["a"].isna().all()


def binned(train, starts, length):
    """Counts in bins of 1 ms, shape (presentations, bins)."""
    relative = np.floor(1e3 * (train[:, None] - np.asarray(starts)) + 1e-6)
    bins = np.arange(round(1e3 * length) + 1)
    return np.stack([np.histogram(column, bins)[0] for column in relative.T])


@pytest.mark.filterwarnings("ignore")
def test_f1_f0_agrees_with_the_function_of_allensdk_on_whole_cycles(recording):
    """Spike times in steps of 1 ms, the width of AllenSDK's bins, of which 15 Hz is no multiple."""
    _restore_numpy_names()
    from allensdk.brain_observatory.ecephys.stimulus_analysis.drifting_gratings import f1_f0

    shown = recording.conditions["drifting_gratings"]
    compared = 0
    for train in recording.spike_times:
        for frequency in (1.0, 2.0, 4.0, 8.0):
            starts = shown.loc[shown["temporal_frequency"] == frequency, "start_time"].to_numpy()
            counts = binned(train, starts, 2.0)
            mine = []
            for start, row in zip(starts, counts, strict=True):
                times = start + 1e-3 * (np.repeat(np.arange(len(row)), row) + 0.5)
                mine.append(modulation_ratio(times, [start], frequency, 2.0))
            wanted = f1_f0(counts.astype(float), frequency, 2.0)
            assert np.nanmean(mine) == pytest.approx(wanted, abs=1e-9)
            compared += 1
    assert compared == 48


@pytest.mark.filterwarnings("ignore")
def test_the_analysis_class_of_allensdk_loses_a_cycle(results, recording, allen):
    """Its F1 is that of one cycle fewer per presentation, so that of the stimulus cancels.

    `DriftingGratings._get_f1_f0` takes 1.9985 s, the centre of the last bin, as the duration.
    """
    from allensdk.brain_observatory.ecephys.stimulus_analysis.drifting_gratings import (
        DriftingGratings,
        f1_f0,
    )

    rate = np.maximum(np.sin(2 * np.pi * 4 * (np.arange(2000) + 0.5) / 1000), 0)
    assert f1_f0(rate[None], 4, 2.0) == pytest.approx(np.pi / 2, abs=0.01)
    assert f1_f0(rate[None, :-1], 4, 1.9985) < 0.05
    truth = pd.read_csv(results.truth).set_index("neuron_id")["kind"]
    simple = [n for n in recording.units.index if truth[n] == "simple"]
    theirs = DriftingGratings(allen, filter=simple)
    ratios = [theirs._get_f1_f0(n, theirs._get_preferred_condition(n)) for n in simple]
    assert max(ratios) < 0.6  # ours are above 1


@pytest.mark.parametrize("frequency", [1.0, 2.0, 4.0, 8.0, 15.0])
def test_f1_f0_of_known_rates(frequency):
    """A half-wave rectified sinusoid has pi / 2, a constant rate 0, a cosine of depth a has a."""
    n, starts = 20000, np.array([3.0, 11.0, 20.5])
    phases = np.linspace(0, 2, n, endpoint=False) + 1 / n

    def train(rate):
        total = np.concatenate([[0.0], np.cumsum(rate(2 * np.pi * frequency * phases))])
        spikes = np.interp(np.linspace(0, total[-1], 3000)[1:-1], total, np.linspace(0, 2, n + 1))
        return np.concatenate([start + spikes for start in starts])

    def ratio(rate):
        return modulation_ratio(train(rate), starts, frequency, 2.0)

    assert ratio(lambda x: np.maximum(np.sin(x), 0)) == pytest.approx(np.pi / 2, abs=0.01)
    assert ratio(np.ones_like) == pytest.approx(0, abs=0.01)
    assert ratio(lambda x: 1 + 0.4 * np.cos(x)) == pytest.approx(0.4, abs=0.01)
    # slightly short presentations have the same number of cycles
    short = modulation_ratio(train(lambda x: np.maximum(np.sin(x), 0)), starts, frequency, 1.9995)
    assert short == pytest.approx(np.pi / 2, abs=0.01)


def test_one_spike_per_presentation_gives_two_and_none_gives_nothing():
    assert modulation_ratio(np.array([0.3, 5.7]), [0.0, 5.0], 4.0, 2.0) == pytest.approx(2)
    assert modulation_ratio(np.array([0.3]), [0.0, 5.0], 4.0, 2.0) == pytest.approx(2)
    assert np.isnan(modulation_ratio(np.array([9.0]), [0.0, 5.0], 4.0, 2.0))
    assert np.isnan(modulation_ratio(np.array([0.3]), [0.0], 0.1, 2.0))
    assert np.isnan(modulation_ratio(np.array([0.3]), [0.0], 0.0, 2.0))


def test_the_preferred_grating_is_used_for_f1_f0():
    shown = pd.DataFrame({"orientation": [0.0, 90.0] * 2, "temporal_frequency": [1.0, 2.0] * 2})
    times = pd.DataFrame({"start_time": [0.0, 3.0, 6.0, 9.0], "stop_time": [2.0, 5.0, 8.0, 11.0]})
    locked = np.concatenate([[0.1], 3 + np.arange(0.25, 2, 0.5), 9 + np.arange(0.25, 2, 0.5)])
    trains = [locked, np.empty(0)]
    counts = count_spikes(trains, times["start_time"], times["stop_time"])
    found = Conditions.of(shown, counts, ["a", "b"])
    ratios = modulation_ratios(trains, times.join(shown), found.condition, found.means)
    assert ratios[0] == pytest.approx(2)
    assert np.isnan(ratios[1])
    nothing = Conditions.of(shown.iloc[:0], counts[:0], ["a", "b"])
    empty = modulation_ratios(trains, times.join(shown).iloc[:0], nothing.condition, nothing.means)
    assert np.isnan(empty).all()


def test_selectivity_of_known_tuning():
    """One direction, opposite directions, one axis more than the other, untuned, silent."""
    gratings = drifting_conditions()
    at = np.deg2rad(gratings["orientation"].to_numpy())
    preferred = (gratings["temporal_frequency"] == 4).to_numpy()
    curves = {
        "one": preferred * (gratings["orientation"] == 225),
        "axis": preferred * np.isin(gratings["orientation"], (45, 225)),
        "cosine": (1 + preferred) * (1 + np.cos(at - np.pi / 2)),
        "untuned": 1.0 + preferred,
        "silent": np.zeros(40),
    }
    found = drifting_preferences(gratings.assign(**curves), list(curves))
    np.testing.assert_allclose(found["direction_selectivity"], [1, 0, 0.5, 0, np.nan], atol=1e-12)
    np.testing.assert_allclose(
        found["drifting_orientation_selectivity"], [1, 1, 0, 0, np.nan], atol=1e-12
    )
    assert found["pref_direction_deg"][[0, 2]].tolist() == [225, 90]
    assert found["pref_temporal_frequency_hz"][:4].tolist() == [4] * 4
    assert all(np.isnan(values[4]) for values in found.values())


def test_ratio_of_flashes():
    counts = {"on": [1.0, 3.0], "off": [4.0, 1.0], "none": [0.0, 2.0]}
    ratio = on_off_ratio(flash_conditions().assign(**counts), list(counts))
    np.testing.assert_array_equal(ratio, [3, 0.25, np.nan])
    assert np.isnan(on_off_ratio(flash_conditions().assign(**counts).iloc[:1], list(counts))).all()
    # stimuli that were not shown have empty columns
    table = tuning_table(["on"], None, None, None, flash_conditions().assign(on=[1.0, 3.0]))
    assert table["on_off_ratio"].tolist() == [3]
    assert table.drop(columns=["neuron_id", "on_off_ratio"]).isna().all(axis=None)


def test_simple_cells_follow_the_cycles_and_no_neuron_prefers_a_direction(results):
    truth = pd.read_csv(results.truth).set_index("neuron_id")
    tuning = pd.read_csv(results.tuning).set_index("neuron_id")
    kind = truth.loc[tuning.index, "kind"]
    simple, rest = (tuning.loc[kind == k, "f1_f0"] for k in ("simple", "complex"))
    assert simple.min() > 1 > rest.max()
    untuned = tuning.loc[kind == "untuned"]
    assert (untuned["f1_f0"] < 1).all()
    assert (tuning["direction_selectivity"] < 0.3).all()
