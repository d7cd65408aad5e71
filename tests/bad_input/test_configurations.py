"""Configurations: invalid values of every key, and files that are not configurations."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meiflow.config.config import check_inputs, load_config, parse_config
from meiflow.config.sections import Config
from tests.bad_input.catalogue import Case, named, refused, tables_session

SCHEMA = Config.model_json_schema()


def leaves(
    node: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of the configuration with its schema."""
    if "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[1]]
    for key, inner in node.get("properties", {}).items():
        if "$ref" in inner:
            yield from leaves(inner, (*path, key))
        else:
            yield ".".join((*path, key)), inner


KEYS = dict(leaves(SCHEMA))


def wrong_values(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values that are invalid for any key of this kind."""
    kinds = [schema, *schema.get("anyOf", [])]
    types = {kind.get("type") for kind in kinds}
    yield ("a list of a mapping", [{"a": 1}])
    if "object" not in types:
        yield ("a mapping", {"no such": 1})
    if types & {"number", "integer"}:
        yield ("1e300", 1e300)
        yield ("2**63 - 1", 2**63 - 1)
    if "boolean" not in types:
        yield ("a truth value", True)
    if "integer" in types and "number" not in types:
        yield ("a broken number", 1.5)
    if "string" not in types:
        yield ("text", "many")
    if "array" in types:
        yield ("a list of nothing", [None])


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


VALUES = [
    (path, name, json.dumps(nested(path, value)))
    for path, schema in KEYS.items()
    for name, value in wrong_values(schema)
]
UNKNOWN = [path.rpartition(".")[0] for path in KEYS]
SECTIONS = sorted({path for path in UNKNOWN if path})
DEEP = "a: " + "[" * 3000 + "]" * 3000
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
FILES = [
    Case("a list", "- a\n- b\n", ("expected keys and values, got list",)),
    Case("a text", "seed\n", ("expected keys and values, got str",)),
    Case("a number", "3\n", ("got int",)),
    Case("an open bracket", "seed: [3\n", ("not valid YAML",)),
    Case("tabs", "session:\n\tid: x\n", ("not valid YAML", "line 2")),
    Case("a colon too many", "session: id: x\n", ("not valid YAML", "line 1")),
    Case("two documents", "seed: 1\n---\nseed: 2\n", ("not valid YAML",)),
    Case("a key twice", "seed: 1\nimage: {}\nseed: 2\n", ("duplicate key 'seed'", "line 3")),
    Case(
        "a section twice", "mei: {steps: 3}\nmei: {mean: 0.4}\n", ("duplicate key 'mei'", "line 2")
    ),
    Case(
        "a key twice, inside", "mei:\n  steps: 3\n  steps: 4\n", ("duplicate key 'steps'", "line 3")
    ),
    Case("a key twice, as text", "seed: 1\n'seed': 2\n", ("duplicate key 'seed'",)),
    Case("an object of Python", "seed: !!python/object/apply:os.getpid []\n", ("not valid YAML",)),
    Case("a name of Python", "seed: !!python/name:os.system\n", ("not valid YAML",)),
    Case("a tuple of Python", "seed: !!python/tuple [1]\n", ("not valid YAML",)),
    Case("an unknown tag", "seed: !mine 3\n", ("not valid YAML", "!mine")),
    Case("a date", "session: {id: 2024-05-01}\n", ("session.id is a date", "quote")),
    Case("a date that is none", "session: {id: 2024-99-99}\n", ("not valid YAML",)),
    Case("bytes", "session: {id: !!binary aGk=}\n", ("session.id is a bytes",)),
    Case("a set", "seed: !!set {a, b}\n", ("seed is a set",)),
    Case("a number as key", "1: 2\n", ("key 1 is not text",)),
    Case("nothing as key", "session: {~: 2}\n", ("key None in session is not text",)),
    Case("a list as key", "? [a, b]\n: 2\n", ("not valid YAML",)),
    Case("an alias of nothing", "seed: *x\n", ("not valid YAML",)),
    Case("an alias of itself", "seed: &a [*a]\n", ("seed", "refers to itself")),
    Case("a bomb of aliases", LAUGHS, ("contains more than 100,000 values",)),
    Case("3000 lists in each other", DEEP, ("not valid YAML (too deeply nested)",)),
    Case("30 mappings in each other", "{a: " * 30 + "1" + "}" * 30, ("20 levels",)),
    Case("a number of 5000 digits", f"seed: {'9' * 5000}\n", ("not valid YAML",)),
    Case("2**64", f"seed: {2**64}\n", ("seed is too large a number (65 bits)",)),
    Case("two megabytes", "# " + "x" * 2_000_000, ("too long for a configuration",)),
    Case("UTF-16", "seed: 3\n".encode("utf-16"), ("not a readable text file",)),
    Case("Latin-1", "session: {id: é}\n".encode("latin-1"), ("not a readable text file",)),
    Case("random bytes", bytes(range(256)), ("not a readable text file",)),
    Case("NUL", "seed: 3\0\n", ("not valid YAML",)),
    Case("a picture", b"\x89PNG\r\n\x1a\n" + bytes(50), ("not a readable text file",)),
    Case("a pipe", os.mkfifo, ("is not a file (a pipe",)),
    Case("a folder", Path.mkdir, ("is a folder, not a file",)),
    Case("nothing at all", lambda path: None, ("no such configuration file",)),
    Case("a link to nowhere", lambda p: p.symlink_to("nowhere"), ("no such configuration",)),
]
TEXTS = [
    Case("open JSON", '{"seed": 3', ("not valid JSON",)),
    Case("a comma too many", '{"seed": 3,}', ("not valid JSON",)),
    Case("JSON with a key twice", '{"seed": 1, "seed": 2}', ("duplicate key 'seed'",)),
    Case("NaN in JSON", '{"image": {"width_deg": NaN}}', ("image.width_deg",)),
    Case("infinity in JSON", '{"image": {"width_deg": 1e999}}', ("image.width_deg",)),
    Case("5000 digits in JSON", f'{{"seed": {"9" * 5000}}}', ("not valid JSON",)),
    Case("deep JSON", '{"seed": ' + "[" * 100_000, ("not valid JSON",)),
    Case("half a sign", '{"session": {"id": "\\ud800"}}', ("session.id",)),
]
CROOKED = {
    "../x": "pattern", ".": "pattern", "..": "pattern", "-rf": "pattern", "a/b": "pattern",
    "$(touch x)": "pattern", "x;touch y": "pattern", "<script>": "pattern", "a\n": "pattern",
    "a\0": "pattern", "x" * 65: "at most 64", "": "pattern", "é": "pattern", "{neuron}": "pattern",
}  # fmt: skip
PATHS = {"": "at least 1", "a\0b": "non-printable", "a\nb": "non-printable", "{x}.csv": "wildcards"}
PATHS |= {"-rf": "write ./-rf", "\x1b[2J": "non-printable", "x" * 5000: "at most 4096"}
ADDRESSES = ["file:///etc", "ftp://host", "host", "http://", "http://me:pass@host", "http://a b"]
ADDRESSES += ["http://host?x=1", "http://host#x", "https://host/../..\n", "//host", "HTTP://x"]
SPECS = ["os.system", "os:system:x", "a b:c", "../a:b", "a:b()", "a;b:c", ":f", "m:", "a/b:c"]
TEXT_KEYS = [
    *[("session.id", v, s) for v, s in CROOKED.items()],
    *[("session.area", v, s) for v, s in CROOKED.items()],
    *[("session.simulation.units", v, s) for v, s in CROOKED.items()],
    *[("session.images", v, s) for v, s in PATHS.items()],
    *[("stimuli.natural_images", v, s) for v, s in PATHS.items()],
    *[("session.warehouse", v, "pattern") for v in [*ADDRESSES, "http://host/path"]],
    *[("session.bucket", v, "pattern") for v in ADDRESSES],
    *[("model.custom", v, "pattern") for v in SPECS],
    *[("movie.model", v, "pattern") for v in SPECS],
    ("report.title", "two\nlines", "one line of text"),
    ("report.title", "x" * 201, "at most 200"),
]
MISSING = ("nwb", "images", "trials", "gabors", "static_gratings", "drifting_gratings", "flashes")
OTHERS: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "pipe": os.mkfifo,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}
CASES = [
    *[Case(f"{path} is {name}", text, (path,)) for path, name, text in VALUES],
    *[Case(f"{s} has another key", f"{s} {{}}") for s in SECTIONS],
    *FILES,
    *TEXTS,
    *[Case(f"{key} is {ascii(v)[:40]} ({len(v)})", f"{key}: {v}") for key, v, _ in TEXT_KEYS],
]


@pytest.mark.parametrize(("path", "name", "text"), VALUES, ids=[f"{p} {n}" for p, n, _ in VALUES])
def test_a_wrong_value_is_named_with_its_key(path: str, name: str, text: str, tried: Any) -> None:
    refused(lambda: load_config(text), f"config: {path}")
    tried("configuration", f"{path} is {name}")


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_named_with_what_is_allowed(section: str, tried: Any) -> None:
    document = nested(f"{section}.no_such_key", 1)
    refused(lambda: parse_config(document), f"unknown key {section}.no_such_key", "allowed here")
    tried("configuration", f"{section} has another key")


@named(FILES)
def test_a_file_that_is_not_a_configuration(case: Case, tmp_path: Path, tried: Any) -> None:
    path = tmp_path / "mine.yaml"
    case.write(path)
    refused(lambda: load_config(path), "mine.yaml", *case.says)
    tried("configuration", case.name)


@named(TEXTS)
def test_a_text_that_is_not_a_configuration(case: Case, tried: Any) -> None:
    refused(lambda: load_config(str(case.content)), "config", *case.says)
    tried("configuration", case.name)


@pytest.mark.parametrize(("key", "value", "says"), TEXT_KEYS, ids=range(len(TEXT_KEYS)))
def test_a_text_that_cannot_be_used(key: str, value: str, says: str, tried: Any) -> None:
    given: Any = {value: 1} if key.endswith("units") else value
    refused(lambda: parse_config(nested(key, given)), key, says)
    tried("configuration", f"{key} is {ascii(value)[:40]} ({len(value)})")


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("key", MISSING)
def test_an_input_that_does_not_exist(key: str, kind: str, tmp_path: Path, tried: Any) -> None:
    """The message names the key, before anything runs; a pipe never blocks."""
    tables_session(tmp_path)
    OTHERS[kind](tmp_path / "wrong")
    session = {
        "source": "nwb" if key == "nwb" else "tables",
        "images": str(tmp_path / "images.npy"),
    }
    session |= {"trials": str(tmp_path / "trials.csv"), key: str(tmp_path / "wrong")}
    refused(lambda: check_inputs(parse_config({"session": session})), f"session.{key}", "wrong")
    tried("inputs", f"{key} is a {kind}")


@pytest.mark.parametrize("key", MISSING)
def test_a_folder_where_a_file_is_wanted(key: str, tmp_path: Path, tried: Any) -> None:
    if key == "images":
        pytest.skip("a folder of pictures is welcome")
    tables_session(tmp_path)
    session = {
        "source": "nwb" if key == "nwb" else "tables",
        "images": str(tmp_path / "images.npy"),
    }
    session |= {"trials": str(tmp_path / "trials.csv"), key: str(tmp_path)}
    config = parse_config({"session": session})
    refused(lambda: check_inputs(config), f"session.{key}", "is a folder, not a file")
    tried("inputs", f"{key} is a folder")


def test_a_name_too_long_for_the_file_system(tmp_path: Path, tried: Any) -> None:
    tables_session(tmp_path)
    session = {"source": "tables", "images": str(tmp_path / "images.npy"), "trials": "x" * 300}
    refused(lambda: check_inputs(parse_config({"session": session})), "session.trials", "too long")
    tried("inputs", "trials has a name too long")
