"""AllenSDK's real client against a loopback warehouse."""

import numpy as np
import pytest

from meiflow.config import Quality
from meiflow.errors import MeiflowError
from meiflow.session.download import download_session
from meiflow.session.images import load_images
from meiflow.session.recording import read_session
from tests.session.warehouse import SCENES, SESSION, warehouse


def paths(folder):
    return folder / "session.nwb", folder / "natural_scenes", folder / "cache"


def test_session_and_templates_arrive_and_are_not_fetched_again(small_session, tmp_path):
    nwb, images, cache = paths(tmp_path)
    with warehouse(small_session / "session.nwb") as (address, asked):
        download_session(SESSION, address, nwb, images, cache)
        first = len(asked)
        download_session(SESSION, address, nwb, images, cache)
        assert len(asked) == first
    assert nwb.read_bytes() == (small_session / "session.nwb").read_bytes()
    numbers, stack = load_images(images, (9, 12))
    assert numbers.tolist() == list(range(SCENES))
    np.testing.assert_allclose(stack[:, 0, 0] * 255, numbers, atol=1e-4)
    assert len(read_session(nwb, ("VISam",), Quality()).units) == 8


def test_unknown_session_is_named(small_session, tmp_path):
    nwb, images, cache = paths(tmp_path)
    with (
        warehouse(small_session / "session.nwb") as (address, _),
        pytest.raises(MeiflowError, match=r"no session 5; it has 1, for example 798911424"),
    ):
        download_session(5, address, nwb, images, cache)
    assert not nwb.exists()


def test_no_server(tmp_path):
    nwb, images, cache = paths(tmp_path)
    with pytest.raises(MeiflowError, match=r"warehouse did not answer .*check the network"):
        download_session(SESSION, "http://127.0.0.1:9", nwb, images, cache)
    assert not nwb.exists()
