"""Recorded neurons of mouse V1 (Allen two-photon), which are not part of the repository."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.recorded_neurons import mouse

from meiflow.config.sections import Model
from meiflow.models.cross_validate import fit_all
from meiflow.validation.trust import follows_luminance
from tests.allen_gabors import DATA

FOLDER, SCENES = DATA.parent / "recorded", DATA.parent / "natural_scenes"


def correlations(recording):
    """Held-out correlations of the ensemble and of regional luminance."""
    config = Model(base_models=["v1", "v1_window"], stride=8, stacking_prior="session")
    images, means = recording.images, recording.means
    found = fit_all(images, means, np.ones(len(images)), recording.screen, config, 0, 2)
    return pd.DataFrame(
        {
            column: [
                np.corrcoef(p, m)[0, 1]
                for p, m in zip(found.predictions[name].T, means.T, strict=True)
            ]
            for column, name in (("cc_abs", "model"), ("cc_luminance", "luminance"))
        }
    )


@pytest.mark.skipif(not FOLDER.exists(), reason="the recorded neurons are not here")
def test_light_of_the_monitor_is_told_from_a_response():
    """In the images' own window, layer 5 follows the luminance of the screen; later, nothing does.

    Calcium responds with a delay. What is instantaneous in these two-photon recordings is light.
    """
    own, later = ([r for r in mouse(FOLDER, SCENES, lag) if "L5" in r.name] for lag in (0, 1))
    assert follows_luminance(correlations(own[0])).sum() >= 6
    assert follows_luminance(correlations(later[0])).sum() == 0
