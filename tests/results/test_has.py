"""What a session has besides trials and images: passed by the workflow or found from files."""

import pytest

from meiflow.errors import MeiflowError
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout

NAMES = ("spike_times", "gabors", "gratings", "movies", "truth", "drifting", "flashes")


@pytest.mark.parametrize("names", [(), NAMES, *((name,) for name in NAMES)])
def test_names_survive_a_round_trip(names):
    has = SessionHas.parse(",".join(names))
    assert [name for name in NAMES if getattr(has, name)] == list(names)
    assert SessionHas.parse(str(has)) == has
    assert has.conditions == bool({"gabors", "gratings"} & set(names))
    assert has.tuning == bool({"gabors", "gratings", "drifting", "flashes"} & set(names))


def test_none_is_written_in_words_and_unknown_names_are_refused():
    assert str(SessionHas()) == "none"
    assert SessionHas.parse("none") == SessionHas()
    with pytest.raises(MeiflowError, match=r"--has: unknown gabor; allowed: spike_times, gabors"):
        SessionHas.parse("gabor,truth")


def test_what_a_session_has_is_found_by_its_files(small_results, tmp_path):
    assert SessionHas.found(small_results) == SessionHas(True, True, True, False, True)
    results = Layout(tmp_path)
    assert SessionHas.found(results) == SessionHas()
    for name, path in (
        ("spike_times", results.presentations),
        ("gabors", results.gabor_trials),
        ("gratings", results.grating_trials),
        ("movies", results.movie_responses),
        ("truth", results.truth),
        ("drifting", results.drifting_trials),
        ("flashes", results.flash_trials),
    ):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert SessionHas.found(results) == SessionHas(**{name: True})
        path.unlink()
