"""The sessions of a configuration, and the configuration of each."""

from __future__ import annotations

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.session.dataset import Dataset
from meiflow.session.images import load_images
from meiflow.stages.simulate import simulate

SIMULATION = {"units": {"VISp": 2}, "frames": 4, "repeats": 2, "gabor_repeats": 0}
SIMULATION |= {"grating_repeats": 0, "frame_height": 40, "frame_width": 40}


def dataset(sessions, **session):
    return Dataset(parse_config({"session": session, "sessions": sessions}))


def test_one_session_is_run_with_its_section():
    config = parse_config({"session": {"id": "mouse"}, "seed": 3})
    data = Dataset(config)
    assert (data.many, data.ids) == (False, ("mouse",))
    assert data.config_of("mouse") == config.for_source()
    assert data.example == config.for_source()


def test_ids_may_be_numbers_and_keep_their_order():
    data = dataset([798911424, "b", "a"])
    assert data.many
    assert data.ids == ("798911424", "b", "a")
    assert data.example.session.id == "798911424"


def test_a_mapping_is_merged_over_the_section():
    data = dataset(
        ["a", {"id": "b", "area": "VISp", "simulation": {"repeats": 5, "units": {"VISp": 3}}}],
        simulation={"repeats": 9, "untuned_fraction": 0.5, "units": {"VISam": 4}},
    )
    a, b = (data.config_of(i).session for i in "ab")
    assert (a.area, a.simulation.repeats, a.simulation.units) == ("VISam", 9, {"VISam": 4})
    assert (b.area, b.simulation.repeats, b.simulation.units) == ("VISp", 5, {"VISp": 3})
    assert b.simulation.untuned_fraction == 0.5
    assert data.config_of("a").sessions is None  # as if run alone


def test_every_simulated_session_has_its_own_seed_unless_it_names_one():
    data = dataset(["a", "b", {"id": "c", "simulation": {"seed": 5}}])
    seeds = [data.config_of(i).session.simulation.seed for i in "abc"]
    assert len(set(seeds)) == 3
    assert seeds[2] == 5
    again = dataset(["z", "b"])  # the other sessions do not matter
    assert again.config_of("b").session.simulation.seed == seeds[1]
    other = Dataset(parse_config({"sessions": ["a"], "seed": 1}))
    assert other.config_of("a").session.simulation.seed != seeds[0]


def test_simulated_sessions_show_the_same_images_to_other_neurons(tmp_path):
    data = dataset(["a", "b"], area="VISp", simulation=SIMULATION)
    stacks, truths = [], []
    for session in "ab":
        folder = tmp_path / session
        config = data.config_of(session)
        simulate(config, Layout(folder))
        stacks.append(load_images(Layout(folder).scenes, (40, 40))[1])
        truths.append(Layout(folder).truth.read_text())
    np.testing.assert_array_equal(*stacks)
    assert truths[0] != truths[1]


@pytest.mark.parametrize(
    ("sessions", "message"),
    [
        (["a", "b", "a"], r"sessions\.2: duplicate session 'a'; remove one"),
        (["a", {"id": "combined"}], r"sessions\.1\.id: 'combined' is reserved for the folder"),
        (["a", {"area": "VISp"}], r"sessions\.1: id is missing"),
        (["a", {"id": "b", "aera": "VISp"}], r"sessions\.1: unknown key session\.aera.*'area'"),
        (["a", {"id": "b", "simulation": 3}], r"sessions\.1\.simulation: expected keys"),
        (["a", {"id": "b", "simulation": {"repeats": 1}}], r"sessions\.1: session\.simulation\.re"),
        (["a", "no/slash"], r"sessions\.1: session\.id"),
        ("all", r"'all' requires session\.source allen, got simulated"),
    ],
)
def test_a_wrong_entry_is_named(sessions, message):
    with pytest.raises(MeiflowError, match=message) as caught:
        dataset(sessions)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"simulation": {"gabor_repeats": 0}}, "b and a differ in recorded Gabors"),
        ({"simulation": {"grating_repeats": 0}}, "b and a differ in recorded gratings"),
        ({"simulation": {"frames": 50}}, r"differ in session\.simulation\.frames \(50 and 118\)"),
        ({"source": "allen", "id": "77"}, r"77 and a differ in session\.source"),
        ({"area": "LGd"}, r"sessions, b: session\.area: 'LGd' is not simulated"),
        ({"source": "nwb", "nwb": "no.nwb", "images": "no"}, r"sessions, b: session\.nwb: no\.nwb"),
    ],
)
def test_sessions_that_cannot_be_run_together_are_refused(other, message):
    data = dataset(["a", {"id": "b"} | other])
    with pytest.raises(MeiflowError, match=message):
        data.check()


def test_all_is_known_only_once_the_warehouse_has_been_asked():
    data = dataset("all", source="allen")
    assert (data.many, data.ids) == (True, None)
    data.check()
    config = data.config_of("715093703")
    assert (config.session.id, config.sessions) == ("715093703", None)
    assert "715093703" in str(data.files_of("715093703").download)


def test_a_session_that_is_not_in_the_list_is_refused():
    with pytest.raises(MeiflowError, match="unknown session 'c'"):
        dataset(["a", "b"]).config_of("c")
