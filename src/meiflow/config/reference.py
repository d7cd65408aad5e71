"""The configuration reference, written from the classes that validate it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from meiflow.config.sections import Config

_HEADER = """# Configuration

Every key of `config.yaml`, its type and range, its default and its meaning. An unknown or
wrong key stops the workflow before any work and names its path. `--configfile more.yaml`
merges over `config.yaml`.

This page is written by `meiflow reference`; do not edit it by hand.
"""


def _type_of(schema: dict[str, Any]) -> str:
    """Type and range, from one property of the JSON schema."""
    if "enum" in schema:
        return " \\| ".join(f"`{v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_of(s) for s in schema["anyOf"]))
    match schema.get("type", ""):
        case "array" if "prefixItems" in schema:
            return "[" + ", ".join(_type_of(s) for s in schema["prefixItems"]) + "]"
        case "array":
            return f"list of {_type_of(schema['items'])}"
        case "object":
            values = schema.get("patternProperties") or {"": schema.get("additionalProperties", {})}
            value = next(iter(values.values()))
            return f"map of text to {_type_of(value)}" if isinstance(value, dict) else "keys"
        case kind:
            return _scalar(str(kind), schema)


def _scalar(kind: str, schema: dict[str, Any]) -> str:
    """Type and range of a number or text."""
    names = {"string": "text", "integer": "whole number", "number": "number", "null": "null"}
    text = names.get(kind, kind)
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    limits = [
        f"≥ {low:g}" if low is not None else "",
        f"> {above:g}" if above is not None else "",
        f"≤ {high:g}" if high is not None else "",
        f"< {below:g}" if below is not None else "",
    ]
    shown = ", ".join(limit for limit in limits if limit)
    return f"{text} ({shown})" if shown else text


def _rows(section: type[BaseModel], prefix: str) -> list[str]:
    rows: list[str] = []
    properties = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        nested = _nested(field)
        if nested is not None:
            rows += _rows(nested, f"{prefix}{name}.")
            continue
        default = json.dumps(field.get_default(), ensure_ascii=False).replace("|", "\\|")
        meaning = (field.description or "").replace("|", "\\|")
        rows.append(
            f"| `{prefix}{name}` | {_type_of(properties[name])} | `{default}` | {meaning} |"
        )
    return rows


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def configuration_reference() -> str:
    """The page, in Markdown."""
    parts = [_HEADER]
    table = "| key | type | default | meaning |\n|---|---|---|---|"
    loose = []
    for name, field in Config.model_fields.items():
        section = _nested(field)
        if section is None:
            loose.append(name)
            continue
        summary = (section.__doc__ or "").strip().splitlines()[0]
        rows = "\n".join(_rows(section, f"{name}."))
        parts.append(f"## {name}\n\n{summary}\n\n{table}\n{rows}\n")
    properties = Config.model_json_schema()["properties"]
    rows = "\n".join(
        f"| `{name}` | {_type_of(properties[name])} | "
        f"`{json.dumps(Config.model_fields[name].get_default())}` | "
        f"{Config.model_fields[name].description or ''} |"
        for name in loose
    )
    parts.append(f"## Top level\n\n{table}\n{rows}\n")
    return "\n".join(parts)
