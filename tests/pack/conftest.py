"""One session of known neurons and its pack, for all tests here; they must not be changed."""

import pytest

from tests.pack.day2 import make_pack, make_session


@pytest.fixture(scope="session")
def known(tmp_path_factory):
    """Results, truth of the neurons, and the images that drive them most."""
    return make_session(tmp_path_factory.mktemp("known") / "results")


@pytest.fixture(scope="session")
def pack(known, tmp_path_factory):
    """Folder of the pack of all neurons, with their optima."""
    folder = tmp_path_factory.mktemp("packs") / "pack"
    results, _, optima = known
    make_pack(results, folder, optima)
    return folder
