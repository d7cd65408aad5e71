"""Random damage: each input is refused in one line that names it, or read correctly.

A damaged table is read a second time by Python's csv module, and a PNG has checksums, so a silent
change would be noticed.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from meiflow.config.config import load_config, parse_config
from meiflow.config.given_paths import resolve_paths
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.session.images import load_images
from meiflow.tables.counts import TRIAL_COLUMNS, Trials, trials_from_table
from tests.bad_input.catalogue import HEADER, ROWS, changed, csv, digest
from tests.bad_input.damage import Damage, counts_of, damaged, damages, explained, often
from tests.bad_input.test_configurations import KEYS, nested

GREY = np.random.default_rng(2).integers(0, 256, (8, 12), dtype=np.uint8)


def read_trials(path: Path) -> Trials:
    return trials_from_table(read_csv(path, TRIAL_COLUMNS), str(path))


def check_table(path: Path, tried: Any) -> None:
    """Refused, or equal to the values that another reader finds."""
    data = path.read_bytes()
    try:
        trials = read_trials(path)
    except MeiflowError as error:
        explained(error, path.name)
        tried("random tables", digest(data))
        return
    found = counts_of(data.decode("utf-8-sig"), HEADER)
    assert {t for t, _ in found} == set(trials.trial_ids)
    assert {n for _, n in found} == set(trials.neuron_ids)
    for i, trial in enumerate(trials.trial_ids):
        for j, neuron in enumerate(trials.neuron_ids):
            count, image = found.get((trial, neuron), (0, trials.image_ids[i]))
            assert (trials.counts[i, j], trials.image_ids[i]) == (count, image)


@often(250)
@given(damage=damages)
def test_damaged_tables(damage: Damage, tmp_path: Path, tried: Any) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(damaged(csv(HEADER, ROWS).encode(), damage))
    check_table(path, tried)


@often(250)
@given(
    row=st.integers(2, len(ROWS) + 1),
    column=st.sampled_from(HEADER),
    value=st.one_of(
        st.text(max_size=6),
        st.integers().map(str),
        st.floats().map(str),
        st.sampled_from(["", '"', "0", "a", "1.0", " 3", "\t", "\r", "\ufeff", "1\n2", '"a"']),
    ),
)
def test_any_value_in_any_cell(
    row: int, column: str, value: str, tmp_path: Path, tried: Any
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(changed(row, column, value).encode("utf-8", "surrogatepass"))
    check_table(path, tried)


def check_images(given: Path, file: Path, data: bytes, tried: Any) -> NDArray | None:
    """None if the file was refused by name; otherwise the images that were read, in range."""
    file.write_bytes(data)
    try:
        found = load_images(given, (8, 12))[1]
    except MeiflowError as error:
        explained(error, file.name)
        tried("random pictures", digest(data))
        return None
    assert np.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1
    return found


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_damaged_pictures(kind: str, tmp_path: Path, tried: Any) -> None:
    """A PNG is never another picture; a TIFF has no check sums, but is always a picture."""
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, kind)
    path = tmp_path / f"0.{kind.lower()}"

    @often(200)
    @given(damage=damages)
    def try_one(damage: Damage) -> None:
        found = check_images(tmp_path, path, damaged(buffer.getvalue(), damage), tried)
        if found is not None and kind == "PNG":
            np.testing.assert_allclose(found[0], GREY / 255, atol=1e-6)

    try_one()


def test_damaged_stacks(tmp_path: Path, tried: Any) -> None:
    buffer = io.BytesIO()
    np.save(buffer, GREY[None])
    path = tmp_path / "stack.npy"

    @often(200)
    @given(damage=damages)
    def try_one(damage: Damage) -> None:
        check_images(path, path, damaged(buffer.getvalue(), damage), tried)

    try_one()


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@often(400)
@given(path=st.sampled_from(sorted(KEYS)), value=PLAIN)
def test_any_value_at_any_key(path: str, value: Any, tried: Any) -> None:
    """Refused by its name, or kept as it was given."""
    try:
        config = parse_config(nested(path, value))
    except MeiflowError as error:
        explained(error, path)
        tried("random configurations", digest(f"{path} {value!r}"))
        return
    kept: Any = config.model_dump(mode="json")
    for key in path.split("."):
        kept = kept[key]
    forms = (value, str(value), [str(v) for v in value] if isinstance(value, list) else None)
    assert kept in forms, (path, value, kept)


DEFAULTS = yaml.safe_dump(Config().model_dump(mode="json"), sort_keys=False).encode()


@often(200)
@given(damage=damages)
def test_damaged_configurations(damage: Damage, tmp_path: Path, tried: Any) -> None:
    path = tmp_path / "damaged.yaml"
    data = damaged(DEFAULTS, damage)
    path.write_bytes(data)
    try:
        config = load_config(path)
    except MeiflowError as error:
        explained(error, "damaged.yaml")
        tried("random configurations", digest(data))
        return
    given = resolve_paths(yaml.safe_load(data.decode("utf-8")), path)
    assert config == parse_config(given).for_source()
    assert load_config(json.dumps(config.model_dump(mode="json"))) == config
