import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.config.config import (
    check_inputs,
    config_schema,
    load_config,
    parse_config,
    resolved,
    written_config,
)
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"session": {"aera": "VISp"}}, r"unknown key session.aera \(did you mean 'area'\?\)"),
        ({"modle": {}}, r"unknown key modle \(did you mean 'model'\?\); allowed here: session"),
        ({"session": {"simulation": {"unit": {}}}}, r"session.simulation.unit .*'units'"),
        ({"mei": {"steps": "many"}}, r"mei.steps: .*valid integer, got 'many'"),
        ({"mei": {"steps": 0}}, "mei.steps: .*greater than or equal to 1, got 0"),
        ({"mei": {"steps": "five"}}, "mei.steps: .*, got 'five'"),
        ({"mei": {"steps": "0"}}, "mei.steps: .*, got 0"),
        ({"mei": {"steps": "5.5"}}, "mei.steps: .*, got 5.5"),
        ({"session": {"source": "web"}}, "session.source: .*'simulated', 'allen'"),
        ({"session": {"id": "../up"}}, r"session.id: .*pattern"),
        ({"session": {"source": "allen"}}, "session.id: source allen needs a numeric"),
        ({"session": {"window_s": [0.3, 0.1]}}, "window_s: needs -1 <= start < stop"),
        (
            {"session": {"source": "tables", "movies": {"candidate_lags_s": [0.05]}}},
            "candidate_lags_s and candidate_widths_s need spike times",
        ),
        ({"seed": True}, "seed: .*valid integer"),
        ({"seed": 1.5}, "seed"),
        ({"image": {"height": float("nan")}}, "image.height"),
        ({"image": {"width_deg": float("inf")}}, "image.width_deg"),
        ({"image": {"width_deg": 90.0}}, "image: give both width_deg and height_deg"),
        ({"selection": {"oracle_p_max": 1e-9}}, "cannot be reached with 2000 shuffles"),
        (["a"], "expected keys and values, got list"),
    ],
)
def test_wrong_documents_are_explained(document, message):
    with pytest.raises(MeiflowError, match=message) as caught:
        parse_config(document)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"session": {"source": "tables"}}, "session.trials: source tables needs a file here"),
        (
            {"session": {"source": "nwb", "nwb": "/none.nwb", "images": "/"}},
            "session.nwb: /none.nwb does not exist",
        ),
        ({"session": {"area": "VISa"}}, r"session.area: 'VISa' is not simulated.*VISam"),
        (
            {"session": {"source": "sensorium", "sensorium": {"folder": "/"}}},
            r"image: source sensorium needs width_deg and height_deg, the visual angle .*such as",
        ),
        (
            {"session": {"source": "tables", "trials": __file__, "images": "/"}},
            r"image: source tables needs width_deg and height_deg, the visual angle .*such as",
        ),
    ],
)
def test_impossible_inputs_are_explained(document, message):
    with pytest.raises(MeiflowError, match=message):
        check_inputs(parse_config(document))


def test_defaults_are_what_config_yaml_says():
    """The commented file that users edit agrees with the built-in defaults."""
    assert written_config(ROOT / "config.yaml") == Config()


def test_neither_scenes_nor_movies_is_refused():
    simulation = {"repeats": 0, "movie_repeats": {"clip": 3}}
    config = parse_config({"session": {"simulation": simulation}})
    with pytest.raises(MeiflowError, match=r"session.simulation.repeats: 0 needs a movie"):
        check_inputs(config)
    with pytest.raises(MeiflowError, match=r"repeats: 1; give at least 2, or 0"):
        parse_config({"session": {"simulation": {"repeats": 1}}})


def test_schema_file_is_in_step():
    path = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    assert path.read_text() == config_schema(), "run: meiflow schema > workflow/schemas/..."


def test_reference_page_is_in_step_and_explains_every_key():
    from meiflow.config.reference import configuration_reference

    page = configuration_reference()
    path = ROOT / "docs" / "configuration.md"
    assert path.read_text() == page, "run: meiflow reference > docs/configuration.md"
    assert "|  |" not in page


@pytest.mark.parametrize("preset", sorted((ROOT / "workflow" / "presets").glob("*.yaml")))
def test_presets_are_valid(preset):
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    extra = yaml.safe_load(preset.read_text())
    for section, values in extra.items():
        base[section] = {**base.get(section, {}), **values} if isinstance(values, dict) else values
    check_inputs(parse_config(base))


def test_files_and_json_text(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("session: {id: abc, area: [VISam, VISp]}\n")
    config = load_config(path)
    assert config.session.areas == ("VISam", "VISp")
    assert parse_config({"session": {"area": "all"}}).session.areas is None
    assert load_config(json.dumps({"seed": 3})).seed == 3
    assert parse_config({"session": {"id": 798911424}}).session.id == "798911424"
    assert parse_config(None) == Config()
    tiny = parse_config({"session": {"quality": {"isi_violations_max": 1e-9}}})
    assert load_config(resolved(tiny, "session")) == tiny.for_source()
    with pytest.raises(MeiflowError, match="not valid JSON"):
        load_config("{seed: 3")
    path.write_text("session: [unclosed\n")
    with pytest.raises(MeiflowError, match="not valid YAML"):
        load_config(path)
    with pytest.raises(MeiflowError, match="no such configuration file"):
        load_config(tmp_path / "none.yaml")


def test_sections_for_one_stage_are_self_contained():
    """The sections that a rule passes on are complete, valid by themselves, and nothing else."""
    config = parse_config({"session": {"source": "tables", "trials": "t.csv", "images": "i"}})
    text = resolved(config, "session.trials", "session.window_s", "seed")
    assert json.loads(text) == {
        "session": {"trials": "t.csv", "window_s": [0.0, 0.25]},
        "seed": 0,
    }
    assert load_config(text).session.trials == "t.csv"
    assert json.loads(resolved(config, "mei")).keys() == {"mei"}


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers()),
)
_KEYS = st.one_of(
    st.sampled_from(["session", "image", "mei", "seed", "id", "area", "steps", "units", "none"]),
    st.text(max_size=5),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_KEYS, st.one_of(_SCALARS, st.dictionaries(_KEYS, _SCALARS)), max_size=4))
def test_any_document_is_valid_or_explained_in_one_line(document):
    message = ""
    try:
        parse_config(document)
    except MeiflowError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 5000


def test_numbers_as_text_are_numbers():
    """As Snakemake passes them: --config 'mei={steps: 5}'; 1e-3 is text in YAML, too."""
    from snakemake.cli import parse_config as of_snakemake

    given = of_snakemake(
        [
            "mei={steps: 5, contrast: 1e-2, mean: 0.4}",
            "session={id: 0123, window_s: [0.05, null], quality: {isi_violations_max: null}}",
            "selection={include: [012, 12_3], notebook_measures: true, minimum: {fev: 0.1}}",
            "model={penalties: [0.1, 1]}",
        ]
    )
    config = parse_config(given)
    assert (config.mei.steps, config.mei.contrast, config.mei.mean) == (5, 0.01, 0.4)
    assert config.session.id == "0123"
    assert config.session.window_s == (0.05, None)
    assert config.session.quality.isi_violations_max is None
    assert config.selection.include == ["012", "12_3"]
    assert config.selection.notebook_measures is True
    assert config.selection.minimum == {"fev": 0.1}
    assert config.model.penalties == [0.1, 1.0]
