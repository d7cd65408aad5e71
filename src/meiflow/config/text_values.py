"""Numbers, booleans and null that were given as text, as by ``snakemake --config``."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_NUMBER = r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
_WORDS = {"true": True, "false": False, "null": None}
# pydantic adds the branch of a union as a path element, which is meaningless to users
_BRANCH = r"^(constrained-|list\[|literal\[|function-|float$|int$|bool$|str$|none$)"
_WANTS = {
    "int": ("int_type", "int_parsing", "int_from_float"),
    "float": ("float_type", "float_parsing"),
    "bool": ("bool_type", "bool_parsing"),
}


def location_of(fault: Mapping[str, Any]) -> tuple[Any, ...]:
    """Keys and indices that lead to an invalid value."""
    way = [part for part in fault["loc"] if not re.match(_BRANCH, str(part))]
    if fault["type"] == "extra_forbidden" and way[-1:] != [fault["loc"][-1]]:
        way.append(fault["loc"][-1])  # an unknown key with the name of a branch
    return tuple(way)


def values_of_text(document: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """The document with text converted where a number, a boolean or null is required.

    Only values at which validation failed are converted, so that ids such as ``"012"`` stay text.

    Examples
    --------
    >>> from meiflow.config.sections import Config
    >>> given = {"mei": {"steps": "5", "contrast": "null"}, "selection": {"include": ["012"]}}
    >>> try:
    ...     Config.model_validate(given)
    ... except ValidationError as error:
    ...     print(values_of_text(given, error))
    {'mei': {'steps': 5, 'contrast': None}, 'selection': {'include': ['012']}}
    """
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    for fault in error.errors():
        given = fault["input"]
        if not isinstance(given, str):
            continue
        *way, last = location_of(fault)
        holder: Any = changed
        try:
            for part in way:
                holder = holder[part]
            if holder[last] == given:
                holder[last] = _value(given, fault["type"])
        except (KeyError, IndexError, TypeError):
            continue
    return changed


def _value(text: str, fault: str) -> Any:
    """The value that YAML would read, if it is of the kind that is required."""
    if fault in (*_WANTS["int"], *_WANTS["float"]) and re.fullmatch(_NUMBER, text):
        number = float(text)
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else number
    if text.lower() in ("true", "false") and fault in _WANTS["bool"]:
        return _WORDS[text.lower()]
    if text in ("null", "~"):
        return None
    return text
