"""Recorded neurons of mouse V1 (Allen two-photon), which are not part of the repository."""

import pytest
from benchmarks.nuisances import MODEL
from benchmarks.recorded_neurons import mouse, nuisances_of_recording

from meiflow.config.config import parse_config
from tests.allen_gabors import DATA

FOLDER, SCENES = DATA.parent / "recorded", DATA.parent / "natural_scenes"


@pytest.mark.skipif(not FOLDER.exists(), reason="the recorded neurons are not here")
def test_light_of_the_monitor_is_told_from_a_response():
    """In the images' own window, layer 5 follows the luminance of the screen; later, nothing does.

    Calcium responds with a delay. What is instantaneous in these two-photon recordings is light.
    """
    config = parse_config({"model": MODEL}).model
    own, later = (next(r for r in mouse(FOLDER, SCENES, lag) if "L5" in r.name) for lag in (0, 1))
    assert nuisances_of_recording(own, config)["nuisance"].eq("luminance_lower").sum() >= 7
    assert nuisances_of_recording(later, config)["nuisance"].eq("").all()
