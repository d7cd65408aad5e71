"""Paths in configuration files, which are relative to the file that contains them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from meiflow.config.base import FUNCTION, InputPath, Section
from meiflow.config.cores import KNOWN_CORES
from meiflow.config.model import AUTO, Network
from meiflow.config.sections import Config, Session


def resolve_paths(document: Any, file: str | Path) -> Any:
    """The content of a configuration file, with paths relative to the working directory.

    Parameters
    ----------
    document : mapping
        As read from the file, not yet validated.
    file : path
        The file. Paths within it are relative to its folder; those in a folder outside the working
        directory become absolute.

    Examples
    --------
    >>> resolve_paths({"session": {"id": "a", "trials": "a.csv", "images": "/data"}}, "lab/a.yaml")
    {'session': {'id': 'a', 'trials': 'lab/a.csv', 'images': '/data'}}
    >>> resolve_paths({"model": {"network": {"core": "sensorium"}}}, "lab/a.yaml")
    {'model': {'network': {'core': 'sensorium'}}}
    """
    folder, here = Path(file).absolute().parent, Path.cwd()
    if folder == here:
        return document
    seen = folder.relative_to(here) if here in folder.parents else folder
    return _resolved(document, Config, seen)


def with_paths(
    config: Mapping[str, Any], documents: Iterable[tuple[str | Path, Any]]
) -> dict[str, Any]:
    """A configuration that Snakemake merged from files, with the paths of each file resolved.

    Parameters
    ----------
    config : mapping
        The merged configuration. Values that no file gives, such as those of ``--config``, are
        relative to the working directory.
    documents : iterable of (path, mapping)
        The files and what they contain, in the order in which they were merged.

    Examples
    --------
    >>> files = [("config.yaml", {"session": {"trials": "a.csv"}}),
    ...          ("lab/b.yaml", {"session": {"images": "b"}})]
    >>> with_paths({"session": {"trials": "a.csv", "images": "b", "nwb": "c"}}, files)
    {'session': {'trials': 'a.csv', 'images': 'lab/b', 'nwb': 'c'}}
    """
    given: Any = {}
    found: Any = {}
    for file, document in documents:
        given = merged(given, document or {})
        found = merged(found, resolve_paths(document, file) or {})
    return {key: _chosen(value, given.get(key), found.get(key)) for key, value in config.items()}


def merged(base: Any, more: Any) -> Any:
    """Merge `more` over `base`, section by section.

    Examples
    --------
    >>> merged({"mei": {"steps": 10, "restarts": 2}}, {"mei": {"steps": 20}})
    {'mei': {'steps': 20, 'restarts': 2}}
    """
    if not (isinstance(base, Mapping) and isinstance(more, Mapping)):
        return more
    return {**base, **{k: merged(base[k], v) if k in base else v for k, v in more.items()}}


def _chosen(value: Any, given: Any, found: Any) -> Any:
    """`found` in place of `value` where the files have given it."""
    if value == given:
        return found
    if isinstance(value, Mapping) and isinstance(given, Mapping):
        return {key: _chosen(inner, given.get(key), found.get(key)) for key, inner in value.items()}
    return value


def _resolved(value: Any, kind: Any, folder: Path) -> Any:
    """A value of this type, with the paths in it resolved; invalid ones are left as they are."""
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, Section):
        kinds = {name: field.annotation for name, field in kind.model_fields.items()}
        if kind is Config:  # keys that override those of `session`
            kinds["sessions"] = list[Session]
        if kind is Network and _is_named(value.get("core")):
            kinds["core"] = None
        return {key: _resolved(inner, kinds.get(key), folder) for key, inner in value.items()}
    if isinstance(value, list) and get_origin(kind) is list:
        return [_resolved(one, get_args(kind)[0], folder) for one in value]
    if isinstance(value, str) and value and (kind is InputPath or InputPath in get_args(kind)):
        return str(folder / value)
    return value


def _is_named(core: Any) -> bool:
    """Whether a core is given by its name or as ``module:function`` rather than as a file."""
    return core == AUTO or core in KNOWN_CORES or bool(re.match(FUNCTION, str(core)))
