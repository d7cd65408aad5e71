"""Read, check and hand on the configuration that `meiflow.sections` describes.

The JSON schema that editors use (``workflow/schemas/config.schema.yaml``) is generated
from those classes by ``meiflow schema``.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from meiflow.errors import MeiflowError, closest
from meiflow.sections import Config, Session


def _allowed_keys(path: tuple[Any, ...]) -> list[str]:
    """Keys allowed in the section that contains the last element of `path`."""
    section: Any = Config
    for key in path[:-1]:
        field = getattr(section, "model_fields", {}).get(key)
        section = field.annotation if field else None
    return list(getattr(section, "model_fields", {}))


def _explain(error: ValidationError) -> str:
    problems = []
    for fault in error.errors():
        location = tuple(part for part in fault["loc"] if not str(part).startswith("function-"))
        # pydantic names the branch of a union as a path element; it means nothing to a user
        location = tuple(
            p
            for p in location
            if not re.match(r"^(constrained-|list\[|literal\[|float$|str$)", str(p))
        )
        name = ".".join(str(part) for part in location)
        if fault["type"] == "extra_forbidden":
            keys = _allowed_keys(location)
            problems.append(
                f"unknown key {name}{closest(str(location[-1]), keys)}; "
                f"allowed here: {', '.join(keys)}"
            )
        elif fault["type"] == "value_error":
            text = fault["msg"].removeprefix("Value error, ")
            problems.append(f"{name}.{text}" if name else text)
        else:
            hint = ""
            if isinstance(fault["input"], str) and re.fullmatch(
                r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", fault["input"]
            ):
                hint = " (YAML reads 1e-3 as text: write 0.001 or 1.0e-3)"
            given = repr(fault["input"])
            given = given if len(given) <= 60 else given[:57] + "..."
            problems.append(f"{name}: {fault['msg']}, got {given}{hint}")
    unique = list(dict.fromkeys(problems))
    return "; ".join(unique)


def parse_config(document: Mapping[str, Any] | None, origin: str = "config") -> Config:
    """Validate a configuration document.

    Parameters
    ----------
    document : mapping or None
        Parsed YAML; missing sections and keys take their defaults.
    origin : str
        Name used in messages.

    Raises
    ------
    MeiflowError
        With the path of every wrong key and what is allowed there.

    Examples
    --------
    >>> config = parse_config({"session": {"area": "VISp"}, "mei": {"contrast": 0.07}})
    >>> config.mei.contrast, config.mei.restarts, config.image.geometry.shape
    (0.07, 12, (60, 96))
    >>> try:
    ...     parse_config({"mei": {"step": 50}})
    ... except MeiflowError as error:
    ...     print(str(error)[:56])
    config: unknown key mei.step (did you mean 'steps'?); al
    """
    if document is None:
        document = {}
    if not isinstance(document, Mapping):
        raise MeiflowError(f"{origin}: expected keys and values, got {type(document).__name__}")
    try:
        return Config.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise MeiflowError(f"{origin}: {_explain(error)}") from None
    except TypeError as error:
        raise MeiflowError(f"{origin}: {error}; use plain numbers, text and lists") from None


def load_config(source: str | Path) -> Config:
    """Read a configuration from a YAML file, or from JSON text starting with ``{``.

    Raises
    ------
    MeiflowError
        If the file is missing, not YAML, or not valid.

    Examples
    --------
    >>> load_config('{"session": {"id": 798911424, "source": "allen"}}').session.id
    '798911424'
    """
    text = str(source)
    try:
        if text.lstrip().startswith("{"):  # not as YAML, which reads the number 1e-09 as text
            return parse_config(json.loads(text))
        return parse_config(yaml.safe_load(Path(source).read_text(encoding="utf-8")), text)
    except FileNotFoundError:
        raise MeiflowError(f"{source}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MeiflowError(f"{source}: not a readable text file ({error})") from None
    except json.JSONDecodeError as error:
        raise MeiflowError(f"config: not valid JSON ({error})") from None
    except yaml.YAMLError as error:
        raise MeiflowError(f"{text}: not valid YAML ({' '.join(str(error).split())})") from None


def _check_conditions(session: Session) -> None:
    for key in ("gabors", "static_gratings"):
        value = getattr(session, key)
        if value is not None and session.source != "tables":
            raise MeiflowError(
                f"session.{key}: only source tables takes a CSV here; source {session.source} has "
                "its own"
            )
        if value is not None and not Path(value).is_file():
            raise MeiflowError(
                f"session.{key}: {value} does not exist; give the path of an existing file"
            )


def check_inputs(config: Config) -> None:
    """Make sure that the session can be made or found; no file is opened.

    Stages are given only the sections they use, so this looks at what only the whole
    configuration can tell: paths that the source needs, and areas that are simulated.

    Raises
    ------
    MeiflowError
        Naming the key, what is wrong and what is allowed.
    """
    session = config.session
    needed = {"nwb": ("nwb", "images"), "tables": ("trials", "images")}
    for key in needed.get(session.source, ()):
        value = getattr(session, key)
        kind = "folder or .npy file" if key == "images" else "file"
        if value is None:
            raise MeiflowError(f"session.{key}: source {session.source} needs a {kind} here")
        if not (Path(value).exists() if key == "images" else Path(value).is_file()):
            raise MeiflowError(
                f"session.{key}: {value} does not exist; give the path of an existing {kind}"
            )
    _check_conditions(config.session)
    own = [("experiments.own", spec) for spec in config.experiments.own]
    models = [("model.custom", config.model.custom), ("movie.model", config.movie.model)]
    for key, spec in models + own:
        package = (spec or "").partition(":")[0].partition(".")[0]
        if package and not (importlib.util.find_spec(package) or any(Path().glob(f"{package}*"))):
            raise MeiflowError(
                f"{key}: no module {package!r} in this folder, nor installed; give "
                "module:function that Python can import"
            )
    further = config.stimuli.natural_images
    if further is not None and not Path(further).exists():
        raise MeiflowError(
            f"stimuli.natural_images: {further} does not exist; give the path of an existing "
            "folder of pictures or .npy file"
        )
    core = config.model.network.core
    if core is not None and not Path(core).is_file():
        raise MeiflowError(
            f"model.network.core: {core} does not exist; meiflow pretrain makes such a file"
        )
    if session.source == "tables" and session.window_s[1] is None:
        raise MeiflowError(
            "session.window_s: a trial CSV has no presentation ends; give both ends in seconds"
        )
    if session.source == "simulated":
        known = session.simulation.units
        for area in session.areas or ():
            if area not in known:
                raise MeiflowError(
                    f"session.area: {area!r} is not simulated; session.simulation.units has "
                    f"{', '.join(known)}{closest(area, known)}"
                )


def resolved(config: Config, *names: str) -> str:
    """The named parts of a configuration, with every default filled in, as JSON text.

    Parameters
    ----------
    config : Config
    *names : str
        Sections (``"mei"``) or single keys of a section (``"session.window_s"``). A rule
        names all that its stage reads and nothing else, so that a changed value reruns just
        what depends on it.
    """
    document = config.model_dump(mode="json")
    chosen: dict[str, Any] = {}
    for name in names:
        section, _, key = name.partition(".")
        if key:
            chosen.setdefault(section, {})[key] = document[section][key]
        else:
            chosen[section] = document[section]
    return json.dumps(chosen, separators=(",", ":"), sort_keys=True)


def config_schema() -> str:
    """The JSON schema of the configuration, as YAML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return yaml.safe_dump(schema | Config.model_json_schema(), sort_keys=False, width=95)
