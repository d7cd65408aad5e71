"""Read and validate the configuration, and pass parts of it on to the stages.

The sections are defined in `meiflow.config.sections`. The JSON schema that editors use
(``workflow/schemas/config.schema.yaml``) is generated from those classes by ``meiflow schema``.
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

from meiflow.config.given_paths import resolve_paths
from meiflow.config.networks import check_core, check_simulated
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config, Session
from meiflow.config.text_values import location_of, values_of_text
from meiflow.config.written import require_as_written
from meiflow.errors import MeiflowError, closest
from meiflow.io.paths import path_error, require_path

_JSON = "config"  # name of JSON text in messages
_LONGEST = 1_000_000
_MOST_VALUES, _DEEPEST = 100_000, 20
_MOST_FAULTS = 8
_BRACES = str.maketrans({"{": r"\u007b", "}": r"\u007d"})


def _allowed_keys(path: tuple[Any, ...]) -> list[str]:
    """Keys allowed in the section that contains the last element of `path`."""
    section: Any = Config
    for key in path[:-1]:
        field = getattr(section, "model_fields", {}).get(key)
        section = field.annotation if field else None
    return list(getattr(section, "model_fields", {}))


# pydantic's names of types, in the words of YAML
_IN_YAML = {"list_type": "must be a list, such as [a, b]", "model_type": "must be a section"}


def _explain(error: ValidationError) -> str:
    problems = []
    for fault in error.errors():
        location = location_of(fault)
        name = ".".join(str(part) for part in location)
        if fault["type"] == "extra_forbidden":
            keys = _allowed_keys(location)
            problems.append(
                f"unknown key {name}{closest(str(location[-1]), keys)}; "
                f"allowed here: {', '.join(keys)}"
            )
        elif fault["type"] == "value_error":
            text = fault["msg"].removeprefix("Value error, ")
            joint = "." if re.match(r"[\w.]+: ", text) else ": "
            problems.append(f"{name}{joint}{text}" if name else text)
        else:
            given = repr(fault["input"])
            given = given if len(given) <= 60 else given[:57] + "..."
            text = _IN_YAML.get(fault["type"], fault["msg"])
            problems.append(f"{name}: {text}, got {given}")
    unique = list(dict.fromkeys(problems))
    rest = f"; and {len(unique) - _MOST_FAULTS} more" if len(unique) > _MOST_FAULTS else ""
    return "; ".join(unique[:_MOST_FAULTS]) + rest


def _require_plain(document: Mapping[str, Any], origin: str) -> None:
    """Reject YAML that is not a plain configuration: dates, cycles, exponential aliases."""
    waiting: list[tuple[str, int, Any]] = [("", 0, document)]
    seen = 0
    while waiting:
        path, depth, value = waiting.pop()
        seen += 1
        if depth > _DEEPEST or seen > _MOST_VALUES:
            raise MeiflowError(
                f"{origin}: {path[:60]} contains more than {_MOST_VALUES:,} values or {_DEEPEST} "
                "levels (possibly an alias that refers to itself); use plain values"
            )
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    where = f" in {path}" if path else ""
                    raise MeiflowError(f"{origin}: key {key!r}{where} is not text; quote it")
                waiting.append((f"{path}.{key}" if path else key, depth + 1, inner))
        elif isinstance(value, list | tuple):
            waiting.extend((f"{path}.{i}", depth + 1, inner) for i, inner in enumerate(value))
        elif isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise MeiflowError(f"{origin}: {path} contains an unpaired surrogate")
        elif isinstance(value, int) and abs(value) >= 2**63:
            raise MeiflowError(
                f"{origin}: {path} is too large a number ({value.bit_length()} bits)"
            )
        elif not (value is None or isinstance(value, str | int | float)):
            raise MeiflowError(
                f"{origin}: {path} is a {type(value).__name__} ({str(value)[:60]}); use plain "
                "numbers, text and lists, and quote text"
            )


def parse_config(document: Mapping[str, Any] | None, origin: str = "config") -> Config:
    """Validate a configuration document.

    Parameters
    ----------
    document : mapping or None
        Parsed YAML; missing sections and keys get their defaults.
    origin : str
        Name used in messages.

    Raises
    ------
    MeiflowError
        With the path of every invalid key and what is allowed there.

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
    _require_plain(document, origin)
    try:
        return Config.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error
    try:
        return Config.model_validate_json(json.dumps(values_of_text(document, first)))
    except ValidationError as error:
        raise MeiflowError(f"{origin}: {_explain(error)}") from None


def load_config(source: str | Path) -> Config:
    """Read the configuration of a session, with the core of its source in place of auto.

    Parameters
    ----------
    source : str or Path
        YAML file, or JSON text starting with ``{``. Paths in a file are relative to its folder,
        those in text to the working directory.

    Raises
    ------
    MeiflowError
        If the file is missing, not YAML, or not valid.

    Examples
    --------
    >>> config = load_config('{"session": {"id": 798911424, "source": "allen"}}')
    >>> config.session.id, config.model.network.core
    ('798911424', 'sensorium')
    """
    config = written_config(source)
    try:
        return config.for_source()
    except MeiflowError as error:
        raise MeiflowError(f"{_origin(source)}: {error}") from None


def written_config(source: str | Path) -> Config:
    """Read a configuration as it is written; parameters and errors as for `load_config`.

    Examples
    --------
    >>> written_config('{"session": {"id": 798911424, "source": "allen"}}').model.network.core
    'auto'
    """
    origin = _origin(source)
    if origin != _JSON:
        return parse_config(resolve_paths(read_yaml(source), source), origin)
    try:  # not as YAML, which reads the number 1e-09 as text
        return parse_config(json.loads(str(source), object_pairs_hook=_keys_once))
    except (ValueError, RecursionError) as error:
        raise MeiflowError(f"{_JSON}: not valid JSON ({error})") from None


def _origin(source: str | Path) -> str:
    """Name of a configuration in messages."""
    text = str(source)
    return _JSON if text.lstrip().startswith("{") else text


def read_yaml(path: str | Path) -> Any:
    """Read a YAML configuration of plain values without duplicate keys.

    Raises
    ------
    MeiflowError
        If the file is missing, not text, not YAML, too large, contains a duplicate key, or a value
        that YAML does not read as it is written.
    """
    fault = path_error(path)
    if fault is not None:
        raise MeiflowError(
            f"{path}: {fault.replace('does not exist', 'no such configuration file')}"
        )
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read(_LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise MeiflowError(f"{path}: not a readable text file ({error})") from None
    if len(text) > _LONGEST:
        raise MeiflowError(
            f"{path}: too long for a configuration (more than {_LONGEST:,} characters)"
        )
    try:
        return _values(_Loader(text))
    except MeiflowError as error:
        raise MeiflowError(f"{path}: {error}") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise MeiflowError(f"{path}: not valid YAML ({reason})") from None
    except RecursionError:
        raise MeiflowError(f"{path}: not valid YAML (too deeply nested)") from None


class _Loader(yaml.SafeLoader):
    """Load plain values only and reject duplicate keys, of which YAML would keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                line = node.value[number][0].start_mark.line + 1
                raise MeiflowError(f"duplicate key {key!r} (line {line}); remove one")
        return super().construct_mapping(node, deep)


def _values(loader: _Loader) -> Any:
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        values = loader.construct_document(node)
        require_as_written(node, values)
        return values
    finally:
        loader.dispose()


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"duplicate key {twice!r}")
    return found


def _check_conditions(session: Session) -> None:
    if session.source == "dandi" and not session.dandi.is_complete:
        raise MeiflowError("session.dandi: source dandi needs either dandiset and path, or asset")
    tables = {key: getattr(session, key) for key in PARAMETRIC}
    for key, value in (tables | {"movies.counts": session.movies.counts}).items():
        if value is not None and session.source != "tables":
            raise MeiflowError(
                f"session.{key}: a CSV is accepted only with source tables, not with source "
                f"{session.source}"
            )
        require_path(f"session.{key}", value)
    stacks = session.movies.stacks
    if stacks is not None and session.source not in ("nwb", "dandi", "tables"):
        raise MeiflowError(
            f"session.movies.stacks: source {session.source} has its own movies; remove the key"
        )
    if session.source == "tables" and (session.movies.counts is None) != (stacks is None):
        raise MeiflowError(
            "session.movies: source tables needs both counts and stacks, or neither of them"
        )
    if session.movies.counts is not None and None in (
        session.movies.width_deg,
        session.movies.height_deg,
    ):
        raise MeiflowError(
            "session.movies: with counts, width_deg and height_deg of a frame are required; those "
            "of the images, if movies and images covered the same part of the screen"
        )
    require_path("session.movies.stacks", stacks, folder=True, kind="folder of .npy stacks")


def _needed(session: Session) -> tuple[str, ...]:
    """Keys of the section session that its source needs; with movies, scenes may be missing."""
    if session.source == "nwb":
        return ("nwb",) if session.movies.stacks is not None else ("nwb", "images")
    if session.downloaded:
        return ("images",) if session.images is not None else ()
    if session.source == "tables":
        given = session.trials is not None or session.movies.counts is None
        return ("trials", "images") if given else ()
    return ()


def _check_sensorium(session: Session) -> None:
    folder, key = session.sensorium.folder, "session.sensorium.folder"
    if session.source == "sensorium" and folder is None:
        raise MeiflowError(f"{key}: source sensorium needs a folder here")
    if session.source != "sensorium" and folder is not None:
        raise MeiflowError(f"{key}: accepted only with source sensorium, not {session.source}")
    require_path(key, folder, folder=True, kind="folder")


def require_angle(config: Config) -> None:
    """Check that the visual angle of the images is given where nothing else tells it.

    Raises
    ------
    MeiflowError
        If the session has custom tables, and the angle is missing.
    """
    if config.session.custom_tables and config.image.width_deg is None:
        raise MeiflowError(
            f"image: source {config.session.source} needs width_deg and height_deg, the visual "
            "angle that the images span, such as image: {width_deg: 60, height_deg: 40}; w cm at a "
            "distance of d cm span 2 atan(w / 2d) degrees"
        )


def check_inputs(config: Config) -> None:
    """Check that the session can be simulated or found; no file is opened.

    Stages receive only the sections they use, so this checks everything that requires the whole
    configuration: paths that the source needs, and areas that are simulated.

    Raises
    ------
    MeiflowError
        With the key, what is wrong and what is allowed.
    """
    session = config.session
    for key in _needed(session):
        value = getattr(session, key)
        kind = "folder or .npy file" if key == "images" else "file"
        if value is None:
            raise MeiflowError(f"session.{key}: source {session.source} needs a {kind} here")
        folder = key == "images" or (key == "nwb" and Path(value, ".zgroup").is_file())  # NWB-Zarr
        require_path(f"session.{key}", value, folder=folder, kind=kind)
    _check_conditions(config.session)
    _check_sensorium(config.session)
    own = [("experiments.custom", spec) for spec in config.experiments.custom]
    models = [("model.custom", config.model.custom), ("movie.model", config.movie.model)]
    models.append(("model.network.core", config.model.network.own_core))
    for key, spec in models + own:
        package = (spec or "").partition(":")[0].partition(".")[0]
        if package and not (importlib.util.find_spec(package) or any(Path().glob(f"{package}*"))):
            raise MeiflowError(
                f"{key}: module {package!r} is neither in this folder nor installed; give a "
                "module:function that Python can import"
            )
    for section in ("model", "experiments", "movie"):
        for path in getattr(config, section).custom_files:
            require_path(f"{section}.custom_files", path, folder=True, kind="file or folder")
    further, kind = config.stimuli.natural_images, "folder of pictures or .npy file"
    require_path("stimuli.natural_images", further, folder=True, kind=kind)
    check_core(config)
    require_angle(config)
    if session.source == "tables" and session.window_s[1] is None:
        raise MeiflowError("session.window_s: with a trial CSV, both ends must be given in seconds")
    if session.source == "simulated":
        simulation = session.simulation
        if not simulation.repeats and not set(session.movies.shown) & set(simulation.movie_repeats):
            raise MeiflowError(
                "session.simulation.repeats: 0 needs a movie in session.simulation.movie_repeats "
                "that session.movies.shown names, because neither scenes nor movies would be shown"
            )
        check_simulated(config)
        known = session.simulation.units
        for area in session.areas or ():
            if area not in known:
                raise MeiflowError(
                    f"session.area: {area!r} is not simulated; session.simulation.units contains "
                    f"{', '.join(known)}{closest(area, known)}"
                )


def resolved(config: Config, *names: str) -> str:
    """The named parts of a configuration, with every default filled in, as JSON text.

    Parameters
    ----------
    config : Config
    *names : str
        Sections (``"mei"``) or single keys (``"session.window_s"``). A rule
        names everything that its stage reads and nothing else, so that a changed value reruns
        only the jobs that depend on it.
    """
    document = config.model_dump(mode="json")
    chosen: dict[str, Any] = {}
    for name in names:
        *sections, key = name.split(".")
        source, target = document, chosen
        for section in sections:
            source, target = source[section], target.setdefault(section, {})
        target[key] = source[key]
    text = json.dumps(chosen, separators=(",", ":"), sort_keys=True)
    # Snakemake would take a brace in a text as a wildcard; in JSON the escape is equivalent
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: m[0].translate(_BRACES), text)


def config_schema() -> str:
    """The JSON schema of the configuration, as YAML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return yaml.safe_dump(schema | Config.model_json_schema(), sort_keys=False, width=95)
