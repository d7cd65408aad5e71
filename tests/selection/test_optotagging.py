"""Optotagging: Allen's table of light, the test against chance, and injected responses."""

from __future__ import annotations

import shutil
import warnings
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from meiflow.progress import collect_notes
from meiflow.report.columns import choices_of
from meiflow.report.identity import identity_facts
from meiflow.results.layout import Layout
from meiflow.selection.optotagging import (
    _exact_p,
    light_responses,
    short_pulses,
    with_optotags,
)
from meiflow.session.info import describe_session
from meiflow.session.reader import open_reader
from meiflow.session.sdk import _restore_numpy_names
from meiflow.stages.tables import build_tables
from meiflow.tables.identity import identify
from tests.session.layouts import drop, zarr_copy

GENOTYPE = "Pvalb-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt"
TABLE = "processing/optotagging/optogenetic_stimulation"
LIGHT_S = 1000.0  # the light comes long after the simulated session


def light_epochs() -> pd.DataFrame:
    """As in Allen's sessions: 5 and 10 ms pulses, 1 s of a cosine, and trains, 2 s apart."""
    durations = np.tile([0.005, 0.01, 1.0, 1.0], 40)
    start = LIGHT_S + 2.0 * np.arange(len(durations))
    conditions = ["a single square pulse"] * 2
    conditions += ["half-period of a cosine wave", "2.5 ms pulses at 10 Hz"]
    return pd.DataFrame(
        {
            "start_time": start,
            "condition": np.tile(conditions, 40),
            "level": np.tile([1.0, 1.0, 2.0, 2.0], 40),
            "stop_time": start + durations,
            "stimulus_name": np.tile(["pulse", "pulse", "raised_cosine", "fast_pulses"], 40),
            "duration": durations,
        }
    )


def responding(train: np.ndarray, latency_s: float, epochs: pd.DataFrame) -> np.ndarray:
    """A train with a spike after the onset of every epoch."""
    return np.sort(np.append(train, epochs["start_time"] + latency_s))


def poisson(rng, rate_hz, stop_s=2000.0):
    return np.sort(rng.uniform(LIGHT_S - 10, stop_s, rng.poisson(rate_hz * (stop_s - LIGHT_S))))


@pytest.fixture(scope="module")
def tagged(small_results) -> list[int]:
    return pd.read_csv(small_results.units)["neuron_id"].tolist()[:3]


@pytest.fixture(scope="module")
def optotagged(small_session, tagged, tmp_path_factory) -> Path:
    """The small session with light, written by AllenSDK, to which some units respond."""
    path = Path(shutil.copy(small_session.session_file, tmp_path_factory.mktemp("light") / "s.nwb"))
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.optotagging import OptotaggingTable
        from pynwb import NWBHDF5IO

        with NWBHDF5IO(str(path), "r+", load_namespaces=True) as io:
            file = io.read()
            OptotaggingTable(table=light_epochs()).to_nwb(file)
            io.write(file)
    rng, epochs = np.random.default_rng(0), light_epochs()
    with h5py.File(path, "r+") as file:
        own = file["units"]
        ids, ends = own["id"][:], own["spike_times_index"][:]
        trains = np.split(own["spike_times"][:], ends[:-1])
        trains = [np.append(train, poisson(rng, 5.0, 1400.0)) for train in trains]
        for unit in tagged:
            row = int(np.flatnonzero(ids == unit)[0])
            trains[row] = responding(trains[row], 0.003, epochs)
        attributes = dict(own["spike_times"].attrs)
        del own["spike_times"]
        own["spike_times"] = np.concatenate([np.sort(train) for train in trains])
        own["spike_times"].attrs.update(attributes)
        own["spike_times_index"][...] = np.cumsum([len(train) for train in trains])
        del file["general/subject/genotype"]
        file["general/subject/genotype"] = GENOTYPE
    return path


@pytest.mark.filterwarnings("ignore")
def test_the_epochs_are_allensdks(optotagged, small_session, tmp_path):
    from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

    theirs = EcephysSession.from_nwb_path(str(optotagged))
    with open_reader(optotagged) as ours:
        expected = theirs.optogenetic_stimulation_epochs
        pd.testing.assert_frame_equal(ours.light, expected)
        assert ours.genotype == theirs.full_genotype == GENOTYPE
    pytest.importorskip("zarr")
    with open_reader(zarr_copy(optotagged, tmp_path / "copy.nwb.zarr")) as copy:
        pd.testing.assert_frame_equal(copy.light, expected)
    assert "light: 160 epochs of optogenetic stimulation" in describe_session(optotagged)
    with open_reader(small_session.session_file) as without:
        assert without.light is None


@pytest.mark.parametrize("missing", ["duration", "stop_time", "both"])
def test_a_missing_column_follows_from_the_other_or_is_noted(missing, optotagged, tmp_path):
    path = Path(shutil.copy(optotagged, tmp_path / "s.nwb"))
    with h5py.File(path, "r+") as file:
        drop(file[TABLE], *(("stop_time", "duration") if missing == "both" else (missing,)))
    with open_reader(path) as session, collect_notes() as notes:
        found = session.light
    if missing == "both":
        fault = "has no stop_time and no duration; no unit is tested for optotagging"
        assert found is None
        assert notes == [f"{TABLE} {fault}"]
    else:
        np.testing.assert_allclose(found[missing], light_epochs()[missing], atol=1e-9)
        assert not notes


def test_tables_say_which_units_are_tagged(
    optotagged, tagged, small_results, small_config, tmp_path
):
    layout = Layout(tmp_path)
    build_tables(small_config, layout, small_results.scenes, optotagged)
    assert layout.trials.read_bytes() == small_results.trials.read_bytes()
    units, without = (pd.read_csv(each.units) for each in (layout, small_results))
    pd.testing.assert_frame_equal(units[list(without)], without)
    further = ["opto_evoked_hz", "opto_baseline_hz", "opto_latency_ms", "opto_p_holm"]
    assert list(units)[len(without.columns) :] == [*further, "optotagged", "genotype"]
    right = units["neuron_id"].isin(tagged)
    assert units["optotagged"].equals(right.rename("optotagged"))
    assert (units.loc[right, "opto_evoked_hz"] > 100).all()  # one more spike in 6 or 7 ms
    assert units.loc[right, "opto_latency_ms"].between(2.8, 3.01).all()
    who = identify(units)
    assert who["optotagged"].tolist() == np.where(right, "Pvalb", "no").tolist()
    facts = [dict(identity_facts(row)) for row in who.to_dict("records")]
    assert [fact["optotagged"][:7] == "Pvalb (" for fact in facts] == right.tolist()
    assert "optotagged" in dict((name, values) for name, _, values in choices_of(who))


def test_the_test_against_chance_is_exact(rng):
    """All ways to draw one window of each of four pulses."""
    counts = rng.poisson(0.8, (5, 4, 6))
    drawn = [sum(counts[w, i] for i, w in enumerate(ws)) for ws in product(range(5), repeat=4)]
    expected = (np.array(drawn) >= counts[0].sum(axis=0)).mean(axis=0)
    np.testing.assert_allclose(_exact_p(counts), expected, rtol=1e-12)


def test_false_positives_are_as_many_as_allowed(rng):
    """Poisson units; none is more often significant than the level, busy ones nearly as often."""
    rates = np.repeat([0.5, 5.0, 50.0], 2000)
    p = _exact_p(rng.poisson(rates * 0.007, (11, 80, len(rates))))
    for level in (0.05, 0.01):
        found = (p.reshape(3, -1) <= level).mean(axis=1)
        assert (found < level + 3 * np.sqrt(level / 2000)).all()
    assert (p[-2000:] <= 0.05).mean() > 0.7 * 0.05


def test_bursts_and_refractory_units_are_not_tagged(rng):
    """Trains that are no Poisson processes: at most 5 % of the families have any p below 0.05."""
    onsets, found = LIGHT_S + 2.0 * np.arange(80), 0
    for _ in range(100):
        steps = 0.002 + rng.exponential(0.02, (3, 9000))
        regular = LIGHT_S - 1 + np.cumsum(steps, axis=1)
        centre = poisson(rng, 3.0, LIGHT_S + 161)
        bursts = np.sort((centre[:, None] + 0.004 * np.arange(4)).ravel())
        p = light_responses([*regular, bursts], onsets, np.full(80, 0.01))["opto_p_holm"]
        found += (p < 0.05).any()
    assert found <= 5 + 2 * np.sqrt(5)


def test_artefacts_and_late_responses_do_not_count(rng):
    """Spikes at the onset and offset of the light, and after a synapse, leave no trace."""
    pulses = short_pulses(light_epochs())
    assert set(pulses["condition"]) == {"a single square pulse"}
    assert len(pulses) == 80
    train = poisson(rng, 2.0)
    off = np.sort(np.append(train, pulses["stop_time"] + 0.0005))
    trains = [responding(train, 0.0005, pulses), off, responding(train, 0.02, pulses)]
    trains += [responding(train, 0.003, pulses)]
    found = light_responses(trains, pulses["start_time"], pulses["duration"])
    assert found["optotagged"].tolist() == [False, False, False, True]
    assert found["opto_latency_ms"].iloc[-1] == pytest.approx(3, abs=0.1)
    # one spike per pulse, in 6 ms of every other pulse and 7 ms of the others
    expected = 1 / 0.0065
    assert found["opto_evoked_hz"].iloc[-1] == pytest.approx(expected, rel=0.05)


def test_a_tag_needs_both_significance_and_twice_the_rate():
    """Closed forms: one spike in one of two pulses, and a spike in all eleven windows or more."""
    onsets, durations = LIGHT_S + np.array([0.0, 2.0]), np.full(2, 0.01)
    found = light_responses([onsets[:1] + 0.003], onsets, durations).iloc[0]
    assert found["opto_p_holm"] == pytest.approx(1 / 11)
    assert found["opto_evoked_hz"] == pytest.approx(1 / 0.014)
    assert not found["optotagged"]
    onsets, durations = LIGHT_S + 2.0 * np.arange(40), np.full(40, 0.01)
    steady = (onsets[:, None] + 0.003 - 0.01 * np.arange(11)).ravel()
    train = np.sort(np.concatenate([steady, onsets[:20] + 0.004]))
    found = light_responses([train], onsets, durations).iloc[0]
    assert found["opto_p_holm"] == pytest.approx(11.0**-20)
    assert found["opto_baseline_hz"] == pytest.approx(1 / 0.007)
    assert found["opto_evoked_hz"] == pytest.approx(0.5 / 0.007)
    assert not found["optotagged"]


def test_pulses_in_lost_intervals_do_not_count():
    kept = short_pulses(light_epochs(), [(-np.inf, LIGHT_S - 0.05), (LIGHT_S + 8.005, np.inf)])
    assert kept["start_time"].tolist() == [LIGHT_S + 2]
    crowded = light_epochs().iloc[[0, 1, 2]].assign(start_time=[1.0, 1.05, 3.0], stop_time=4.0)
    assert short_pulses(crowded)["start_time"].tolist() == [1.0]


@pytest.mark.parametrize(("genotype", "labelled"), [("wt/wt", False), (None, True)])
def test_a_wild_type_has_no_tagged_units(genotype, labelled, rng):
    train = responding(poisson(rng, 2.0), 0.003, light_epochs())
    units = pd.DataFrame({"area": ["VISp"]}, index=[7])
    with collect_notes() as notes:
        found = with_optotags(units, [train], light_epochs(), genotype)
    assert found["optotagged"].tolist() == [True if labelled else None]
    assert bool(notes) is not labelled
    who = identify(found.rename_axis("neuron_id").reset_index())
    assert who.get("optotagged", pd.Series([None])).tolist() == ["yes" if labelled else None]


def test_without_short_pulses_the_table_stays():
    units = pd.DataFrame({"area": ["VISp"]})
    epochs = light_epochs()
    with collect_notes() as notes:
        assert with_optotags(units, [np.zeros(0)], epochs[epochs["duration"] == 1], None) is units
    assert len(notes) == 1
    assert notes[0].startswith("optotagging: none of 80 epochs of light is a pulse of 5 or 10 ms")
