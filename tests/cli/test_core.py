"""Published cores by name: the command, and where a configuration needs one."""

import pytest

from meiflow.cli.app import check, core
from meiflow.config.config import check_inputs, load_config
from meiflow.config.cores import KNOWN_CORES
from meiflow.errors import MeiflowError
from tests.session.warehouse import warehouse

NAMED = '{"model": {"base_models": ["v1", "core_window"], "network": {"core": "sensorium"}}}'
ALLEN = """
session: {source: allen, id: 798911424}
"""


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warehouse(tmp_path / "none.nwb") as running:
        monkeypatch.setitem(KNOWN_CORES, "sensorium", running.known_core)
        yield running


def test_a_core_is_downloaded_and_cited(tmp_path, capsys):
    core("sensorium")
    assert (tmp_path / "data" / "cores" / "core.pth").exists()
    assert "licence MIT; cite Willeke et al. 2022" in capsys.readouterr().out


def test_an_unknown_name_is_refused():
    with pytest.raises(MeiflowError, match=r"'sensorum' is not known.*sensorium"):
        core("sensorum")


def test_a_missing_core_is_named_with_the_command_that_fetches_it():
    config = load_config(NAMED)
    with pytest.raises(MeiflowError, match=r"core\.pth; download it once with meiflow core sens"):
        check_inputs(config)
    core("sensorium")
    check_inputs(config)


def test_check_says_that_a_downloaded_session_comes_with_a_core(tmp_path, capsys):
    (tmp_path / "allen.yaml").write_text(ALLEN)
    check("allen.yaml", True, False)
    assert "core.pth, to be downloaded (0.4 MB): mouse V1, 7,776 neurons" in capsys.readouterr().out
    core("sensorium")
    check("allen.yaml", True, False)
    assert "cores/core.pth: mouse V1, 7,776 neurons" in capsys.readouterr().out
    (tmp_path / "data" / "cores" / "core.pth").write_bytes(b"damaged")
    with pytest.raises(MeiflowError, match=r"core\.pth: the SHA-256 is not .*; delete it"):
        check("allen.yaml", True, False)
    (tmp_path / "allen.yaml").write_text(ALLEN + "model: {network: {core: null}}")
    check("allen.yaml", True, False)
    assert "core" not in capsys.readouterr().out
