"""Names from data never lead outside the results, and never reach a shell as commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml

from meiflow.config.config import parse_config, resolved
from meiflow.errors import MeiflowError
from meiflow.io.paths import is_name, stays_inside
from meiflow.results.neurons import selected_neurons
from tests.bad_input.catalogue import tables_session
from tests.project import make_project

ESCAPING = ["..", ".", "", "../x", "../../x", "a/../../x", "/etc/passwd", "//etc"]
CROOKED = [*ESCAPING, "-rf", "$(touch made)", "x;touch made", "`touch made`", "a b", "a\nb", "a\0b"]
CROOKED += ["<script>", "é", "a/b", "a\\b", "{neuron}", "*", "~", ".hidden", "x" * 65]


@pytest.mark.parametrize("name", CROOKED)
def test_an_invalid_name_is_refused(name: str) -> None:
    assert not is_name(name)
    for key in ("id", "area"):
        with pytest.raises(MeiflowError, match=f"session.{key}"):
            parse_config({"session": {key: name}})


@pytest.mark.parametrize("name", ["a", "7", "951097947", "a.b", "a-b_c", "A..b", "x" * 64])
def test_a_plain_name_is_valid(name: str, tmp_path: Path) -> None:
    assert is_name(name)
    assert stays_inside(name)
    assert (tmp_path / name).resolve().is_relative_to(tmp_path.resolve())
    assert shlex.quote(name) == name  # equivalent for a shell


@pytest.mark.parametrize("name", [n for n in ESCAPING if n])
def test_a_list_of_selected_neurons_cannot_lead_away(name: str, tmp_path: Path) -> None:
    """neurons.csv may come from someone else, and each of its ids becomes a folder."""
    path = tmp_path / "neurons.csv"
    path.write_text(f"neuron_id,selected\n7,True\n{name},True\n")
    assert not stays_inside(name)
    with pytest.raises(MeiflowError, match=r"neurons\.csv: invalid neuron_id .* \(leads outside"):
        selected_neurons(path)


def test_a_selection_that_is_not_yes_or_no(tmp_path: Path) -> None:
    path = tmp_path / "neurons.csv"
    path.write_text("neuron_id,selected\n7,maybe\n")
    with pytest.raises(MeiflowError, match="column selected must be True or False"):
        selected_neurons(path)


TITLE = "{neuron} $(touch made1); `touch made2` '\"{} <b> & | > made3"
FOLDER = "my $(touch made4);'\"& data"


@pytest.mark.thorough
def test_titles_and_paths_reach_the_commands_as_they_are(tmp_path: Path) -> None:
    """With the workflow's rules: quoted for the shell, and no wildcards for Snakemake."""
    project = make_project(tmp_path)
    own = tables_session(tmp_path / FOLDER)
    session = {"source": "tables", "trials": str(own / "trials.csv")}
    session |= {"images": f"{FOLDER}/images.npy", "id": "own"}
    image = {"height": 8, "width": 12, "width_deg": 12.0, "height_deg": 8.0}
    document = {"session": session, "image": image, "report": {"title": TITLE}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(document))
    target = project.folder / "results" / "own" / "tables" / "trials.csv"
    given = ("--configfile", "own.yaml", "--", "results/own/tables/trials.csv")
    done = project.snakemake("--cores", "1", *given)
    assert done.returncode == 0, done.stdout[-3000:]
    assert target.exists()
    report = ("--configfile", "own.yaml", "--printshellcmds", "--", "results/own/report.html")
    done = project.snakemake("--dry-run", *report)
    assert done.returncode == 0, done.stdout[-3000:]
    start = done.stdout.index("meiflow report --config ")
    words = shlex.split(done.stdout[start : done.stdout.index("2>&1", start)])
    assert json.loads(words[words.index("--config") + 1])["report"]["title"] == TITLE
    assert not list(tmp_path.rglob("made*"))


def test_braces_of_a_text_are_no_wildcards() -> None:
    config = parse_config({"report": {"title": TITLE}})
    text = resolved(config, "report")
    assert "{neuron}" not in text
    assert json.loads(text)["report"]["title"] == TITLE
