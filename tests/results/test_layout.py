"""Paths of results, for one session and as patterns for many."""

import pytest

from meiflow.results.layout import CombinedLayout, Layout


def test_paths_lie_below_the_root_and_patterns_keep_their_wildcards():
    for root in ("results/demo", "results/{session}"):
        results = Layout(root)
        paths = [getattr(results, name) for name in Layout.files()]
        paths += [*results.procedure("diverse"), *results.figures("gallery"), results.log("a/b")]
        paths += [results.timings, results.unfinished_fits, results.kept("natural")]
        paths += [results.neuron("{neuron}").mei, *results.selection_figures("oracle")]
        assert all(path.as_posix().startswith(f"{root}/") for path in paths)
        assert results.neuron("{neuron}").mei.as_posix() == f"{root}/neurons/{{neuron}}/mei.npy"


def test_figures_come_as_picture_and_as_vector_graphics():
    shown = Layout("r").figures("gallery", "scores")
    assert [p.name for p in shown] == ["gallery.png", "gallery.svg", "scores.png", "scores.svg"]
    assert [p.name for p in CombinedLayout("r").figures("areas")] == ["areas.png", "areas.svg"]
    with pytest.raises(KeyError):
        Layout("r").figures("areas")


def test_no_two_files_of_a_session_share_a_path():
    results = Layout("r")
    paths = [getattr(results, name) for name in Layout.files()]
    paths += [path for name in ("best_gabors", "movies") for path in results.procedure(name)]
    paths += results.figures(*Layout.overview_figures)
    paths += results.selection_figures(*Layout.figures_of_selection)
    paths += results.experiment_figures(*Layout.figures_of_experiments)
    assert len(set(paths)) == len(paths)
    assert results.named("trials", "summary") == [results.trials, results.summary]
