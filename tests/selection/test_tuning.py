"""Our selectivity measures, compared with AllenSDK's analysis of the same simulated session."""

import warnings

import numpy as np
import pytest

from meiflow.config.sections import Quality
from meiflow.selection.tuning import (
    fano_factor,
    image_selectivity,
    lifetime_sparseness,
    preferred_fano_factor,
    preferred_image,
)
from meiflow.session.recording import read_session
from meiflow.session.sdk import _restore_numpy_names
from meiflow.tables.counts import Trials, count_spikes, mean_responses


@pytest.fixture(scope="module")
def ours(small_session):
    recording = read_session(small_session.session_file, ("VISam",), Quality())
    scenes = recording.scenes
    counts = count_spikes(recording.spike_times, scenes["start_time"], scenes["stop_time"])
    ids = [str(i) for i in recording.units.index]
    return Trials(scenes.index.to_numpy(), ids, scenes["frame"].to_numpy(), counts).of_images()


@pytest.fixture(scope="module")
def theirs(small_session, ours):
    """AllenSDK's NaturalScenes metrics, and the frame of each stimulus condition."""
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
        from allensdk.brain_observatory.ecephys.stimulus_analysis.natural_scenes import (
            NaturalScenes,
        )

        session = EcephysSession.from_nwb_path(str(small_session.session_file))
        units = [int(i) for i in ours.neuron_ids]
        scenes = NaturalScenes(session, filter=units)
        selectivity = [scenes._get_image_selectivity(u) for u in units]
        preferred = [scenes._get_preferred_condition(u) for u in units]
        frames = scenes.stim_table.groupby("stimulus_condition_id")["frame"].first()
        return {
            "selectivity": selectivity,
            "preferred": frames.loc[preferred].astype(int).to_numpy(),
            "sparseness": [scenes._get_lifetime_sparseness(u) for u in units],
            "fano": [scenes._get_fano_factor(u, p) for u, p in zip(units, preferred, strict=True)],
        }


def test_measures_agree_with_allensdk(ours, theirs):
    image_ids, means = mean_responses(ours)
    preferred = preferred_image(image_ids, means)
    # if two images tie, either is correct; the Fano factor is then taken at theirs
    ties = (means == means.max(axis=0)).sum(axis=0) > 1
    np.testing.assert_array_equal(preferred[~ties], theirs["preferred"][~ties])
    np.testing.assert_allclose(image_selectivity(means), theirs["selectivity"], atol=1e-9)
    repeats = np.unique(ours.image_ids, return_counts=True)[1]
    sums = means * repeats[:, None]
    np.testing.assert_allclose(lifetime_sparseness(sums), theirs["sparseness"], atol=1e-9)
    fano = preferred_fano_factor(ours.counts, ours.image_ids, theirs["preferred"])
    np.testing.assert_allclose(fano, theirs["fano"], atol=1e-9)


def test_extremes():
    one_hot = np.zeros((50, 1))
    one_hot[7] = 5
    assert lifetime_sparseness(one_hot)[0] == pytest.approx(1)
    assert image_selectivity(one_hot)[0] == pytest.approx(1 - 2 / 50)
    flat = np.full((50, 1), 2.0)
    assert lifetime_sparseness(flat)[0] == pytest.approx(0)
    assert image_selectivity(flat)[0] == 0
    silent = np.zeros((50, 1))
    assert np.isnan(lifetime_sparseness(silent)[0])
    assert np.isnan(fano_factor(silent)[0])
    assert np.isnan(lifetime_sparseness(one_hot[:1])[0])
    assert np.isnan(image_selectivity(one_hot[:1])[0])
    assert fano_factor(np.random.default_rng(0).poisson(3, (20_000, 1)))[0] == pytest.approx(
        1, abs=0.03
    )
