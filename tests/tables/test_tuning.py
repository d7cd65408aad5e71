"""Recorded tuning compared with AllenSDK's analysis and with Allen's released numbers."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Quality
from meiflow.session.recording import read_session
from meiflow.session.sdk import _restore_numpy_names
from meiflow.tables.conditions import Conditions
from meiflow.tables.counts import count_spikes, counting_windows
from meiflow.tables.tuning import COLUMNS, field_centre, receptive_fields, tuning_table
from tests.allen_gabors import DATA, KEYS, visam_units

AZIMUTH_0, ELEVATION_0 = 50, 10


@pytest.fixture(scope="module")
def recording(small_session):
    return read_session(small_session.session_file, None, Quality())


def table_of(recording, stimulus, window):
    shown = recording.conditions[stimulus]
    counts = count_spikes(recording.spike_times, *counting_windows(shown, window))
    names = [str(i) for i in recording.units.index]
    return Conditions.of(shown[PARAMETRIC[stimulus]], counts, names).mean_table(), names


@pytest.fixture(scope="module")
def allen(small_session):
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        yield EcephysSession.from_nwb_path(str(small_session.session_file))


@pytest.mark.filterwarnings("ignore")
def test_receptive_fields_agree_with_allensdk(recording, allen):
    from allensdk.brain_observatory.ecephys.stimulus_analysis import receptive_field_mapping as rfm

    table, names = table_of(recording, "gabors", (0.0, 0.249))
    fields = receptive_fields(table, names)
    assert fields["x_deg"][0] == -40
    assert fields["y_deg"][0] == 40
    theirs = rfm.ReceptiveFieldMapping(allen, filter=[int(n) for n in names])
    for name, field in zip(names, fields, strict=True):
        matrix = theirs.get_receptive_field(int(name))
        # theirs are summed counts: three orientations, one repeat each
        np.testing.assert_allclose(3 * field, matrix, atol=1e-9)
        _, column, row, area = rfm.threshold_rf(matrix, 0.5)
        mine_x, mine_y, mine_area = field_centre(np.rint(3 * field).astype(int), 0.5)
        # AllenSDK rounds its centre to 1e-4 of a grid step
        assert np.around((mine_x + 40) / 10, 4) == pytest.approx(column, abs=1e-9)
        assert np.around((40 - mine_y) / 10, 4) == pytest.approx(row, abs=1e-9)
        assert mine_x + AZIMUTH_0 == pytest.approx(rfm.convert_azimuth_to_degrees(column), abs=1e-3)
        assert mine_y + ELEVATION_0 == pytest.approx(
            rfm.convert_elevation_to_degrees(row), abs=1e-3
        )
        assert mine_area == rfm.convert_pixel_area_to_degrees(area)
    places = tuning_table(names, table, None)
    few = (3 * fields).sum(axis=(1, 2)) < 10
    np.testing.assert_array_equal(places["rf_x_deg"].isna(), few)


@pytest.mark.filterwarnings("ignore")
def test_grating_preferences_agree_with_allensdk(recording, allen):
    from allensdk.brain_observatory.ecephys.stimulus_analysis.static_gratings import StaticGratings

    table, names = table_of(recording, "static_gratings", (0.0, None))
    theirs = StaticGratings(allen, filter=[int(n) for n in names])
    ours = tuning_table(names, None, table).set_index("neuron_id")
    compared = 0
    for name in names:
        unit, mine = int(name), ours.loc[name]
        if table[name].sum() == 0:
            assert mine.isna().all()
            continue
        # if values tie, either is correct
        for key, get, column in (
            ("orientation", theirs._get_pref_ori, "pref_orientation_deg"),
            ("spatial_frequency", theirs._get_pref_sf, "pref_spatial_frequency_cpd"),
            ("phase", theirs._get_pref_phase, "pref_phase_cycles"),
        ):
            curve = table.groupby(key)[name].mean()
            if (np.abs(curve - curve.max()) < 1e-9).sum() == 1:
                assert mine[column] == pytest.approx(get(unit), abs=1e-9)
                compared += 1
        osi = theirs._get_osi(unit, mine["pref_spatial_frequency_cpd"], mine["pref_phase_cycles"])
        np.testing.assert_allclose(mine["orientation_selectivity"], osi, atol=1e-9)
    assert compared > 15


@pytest.mark.filterwarnings("ignore")
def test_rate_over_blocks_without_gaps_is_the_mean_count_over_the_window(recording, allen):
    """If presentations follow each other without a gap, AllenSDK's definition equals ours."""
    from allensdk.brain_observatory.ecephys.stimulus_analysis.natural_scenes import NaturalScenes

    units = [int(u) for u in recording.units.index]
    theirs = NaturalScenes(allen, filter=units)
    counts = count_spikes(recording.spike_times, *counting_windows(recording.scenes, (0.0, None)))
    lengths = recording.scenes["stop_time"] - recording.scenes["start_time"]
    ours = counts.sum(axis=0) / lengths.sum()
    rates = [theirs._get_overall_firing_rate(u) for u in units]
    np.testing.assert_allclose(ours, rates, atol=1e-9)


def test_extremes():
    axes = {"y_deg": np.arange(40.0, -41, -10), "x_deg": np.arange(-40.0, 41, 10)}
    field = xr.DataArray(np.ones((9, 9)), axes, list(axes))
    assert np.isnan(field_centre(field)).all()
    holed = field.copy()
    holed[0, 0] = np.nan
    assert np.isnan(field_centre(holed)).all()
    spot = 0 * field
    spot.loc[20, 10] = 1
    assert field_centre(spot)[:2] == pytest.approx((10, 20))
    table = tuning_table(["a"], None, None)
    assert list(table.columns) == ["neuron_id", *COLUMNS]
    assert table[list(COLUMNS)].isna().all(axis=None)


@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded counts are not here")
def test_recorded_fields_are_at_the_positions_released_by_allen():
    """Centres and areas of 133 VISam units of session 798911424 equal Allen's released table."""
    shown = pd.read_csv(DATA / "gabor_presentations.csv")
    archive = np.load(DATA / "gabor_spike_counts.npz", allow_pickle=False)
    released = pd.read_csv(DATA / "units.csv.gz", index_col="ecephys_unit_id", low_memory=False)
    units = visam_units(DATA)
    assert len(units) == 135
    counts = archive["counts"][pd.Index(archive["unit_ids"]).get_indexer(units)].T
    first = counts[shown["stimulus_presentation_id"].to_numpy() == 1]
    assert first[0, list(units).index(951092369)] == 3
    names = [str(u) for u in units]
    table = Conditions.of(shown[KEYS], counts, names).mean_table()
    assert len(table) == 243
    assert set(table["repeats"]) == {15}
    released = released.loc[units]
    ours = tuning_table(names, table, None)
    known = released["azimuth_rf"].notna().to_numpy()
    assert known.sum() == 133
    assert ours["rf_x_deg"].notna().all()
    fields = receptive_fields(table, names)
    theirs = np.array([field_centre(np.rint(45 * f).astype(int)) for f in fields])
    # two units with about 40 spikes have no RF after Allen's rounding
    np.testing.assert_array_equal(np.isfinite(theirs[:, 0]), known)
    theirs += [AZIMUTH_0, ELEVATION_0, 0]
    wanted = released[["azimuth_rf", "elevation_rf", "area_rf"]]
    np.testing.assert_allclose(theirs[known], wanted[known], rtol=0, atol=1e-3)
    # without rounding of the smoothed map: the same position for most units
    exact = np.hypot(
        ours["rf_x_deg"] + AZIMUTH_0 - released["azimuth_rf"].to_numpy(),
        ours["rf_y_deg"] + ELEVATION_0 - released["elevation_rf"].to_numpy(),
    )
    significant = (released["p_value_rf"] < 0.01).to_numpy() & known
    assert significant.sum() == 87
    assert np.median(exact[significant]) < 0.01
    assert np.quantile(exact[significant], 0.95) < 10
    # Allen's rate is over the whole block, ours over the windows
    rate = counts.mean(axis=0) / 0.249
    assert np.corrcoef(rate, released["firing_rate_rf"])[0, 1] > 0.999999
    np.testing.assert_allclose(rate, released["firing_rate_rf"], rtol=0.011)
