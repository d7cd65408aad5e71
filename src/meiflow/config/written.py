"""Find scalars that YAML reads as something else than what is written, such as 010 as 8."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError

_TAG = "tag:yaml.org,2002:"
_NUMBERS = {"number", "integer", "boolean"}
# YAML 1.1: a leading zero means octal, and colons base 60
_ODD = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")

Schemas = tuple[dict[str, Any], ...]


@cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _branches(schema: Any) -> Schemas:
    """All alternatives of a JSON schema."""
    if not isinstance(schema, dict):
        return ()
    if "$ref" in schema:
        schema = _schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        return tuple(one for branch in schema["anyOf"] for one in _branches(branch))
    return (schema,)


def _below(schemas: Schemas, key: str | None) -> Schemas:
    """Schemas of a key of a mapping, or of the items of a list if `key` is None."""
    found: Schemas = ()
    for schema in schemas:
        inner = schema.get("items") if key is None else schema.get("properties", {}).get(key)
        found += _branches(inner or (key is not None and schema.get("additionalProperties")))
    return found


def require_as_written(document: yaml.Node, values: Any) -> None:
    """Check that YAML reads every scalar as a user means it.

    Where the configuration expects text, only whole numbers that look the same as text are
    accepted without quotes; octal and sexagesimal numbers are accepted nowhere.

    Parameters
    ----------
    document : yaml.Node
    values : object
        What YAML made of it.

    Raises
    ------
    MeiflowError
        With the key, the line and what to write instead.

    Examples
    --------
    >>> def read(text):
    ...     require_as_written(yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text))
    >>> read("{session: {id: 0x1F, area: VISp}}")
    Traceback (most recent call last):
    meiflow.errors.MeiflowError: session.id (line 1): YAML reads 0x1F as 31; quote it: '0x1F'
    >>> read("{session: {id: '0x1F'}, selection: {include: [950000147]}}")
    """
    waiting: list[tuple[str, yaml.Node, Schemas, Any]] = [
        ("", document, _branches(_schema()), values)
    ]
    seen: set[tuple[int, tuple[int, ...]]] = set()  # aliases repeat nodes, possibly without end
    while waiting:
        path, node, schemas, value = waiting.pop()
        mark = (id(node), tuple(map(id, schemas)))
        if mark in seen:
            continue
        seen.add(mark)
        if isinstance(node, yaml.ScalarNode):
            _require_scalar(path, node, schemas, value)
        elif isinstance(node, yaml.SequenceNode) and isinstance(value, list):
            inner = _below(schemas, None)
            if path == "sessions":  # entries override keys of the section `session`
                inner += _branches(_schema()["properties"]["session"])
            items = enumerate(zip(node.value, value, strict=True))
            waiting += [(f"{path}.{i}", one, inner, v) for i, (one, v) in items]
        elif isinstance(node, yaml.MappingNode) and isinstance(value, dict):
            for key, one in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else None
                if isinstance(name, str) and name in value:
                    where = f"{path}.{name}" if path else name
                    waiting.append((where, one, _below(schemas, name), value[name]))


def _require_scalar(path: str, node: yaml.ScalarNode, schemas: Schemas, value: Any) -> None:
    kind, written = node.tag.removeprefix(_TAG), node.value
    if node.style is not None or written == "" or kind not in ("int", "float", "bool", "null"):
        return  # dates and binary data are rejected everywhere
    types = {schema.get("type") for schema in schemas}
    name = f"{path} (line {node.start_mark.line + 1})"
    read = "nothing" if value is None else f"{str(value).lower() if kind == 'bool' else value}"
    if "string" in types and not types & _NUMBERS:
        same = (kind == "int" and str(value) == written) or (kind == "null" and "null" in types)
        if not same:
            raise MeiflowError(f"{name}: YAML reads {written} as {read}; quote it: '{written}'")
    elif kind in ("int", "float") and _ODD.fullmatch(written):
        raise MeiflowError(
            f"{name}: YAML reads {written} as {read}; write the number in decimal, without a "
            "leading zero or colons"
        )
