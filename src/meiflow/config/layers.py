"""Configuration files as a run reads them: on top of the ``config.yaml`` beside them."""

from __future__ import annotations

from pathlib import Path

from meiflow.config.config import parse_config, read_yaml, written_config
from meiflow.config.given_paths import merged, resolve_paths
from meiflow.config.sections import Config


def base_of(file: str | Path) -> Path | None:
    """The ``config.yaml`` beside a file that a run reads before it, if there is one."""
    path = Path(file)
    base = path.with_name("config.yaml")
    if path.suffix not in (".yaml", ".yml") or path.name == base.name or not base.is_file():
        return None
    return base


def layered_config(file: str | Path) -> Config:
    """Read a configuration as a run of it does; errors as for `load_config`.

    Parameters
    ----------
    file : str or Path
        A YAML file, or the configuration itself as JSON.
    """
    base = base_of(file)
    if base is None:
        return written_config(file)
    lower, upper = (resolve_paths(read_yaml(path), path) for path in (base, file))
    return parse_config(merged(lower or {}, upper or {}), f"{file} on top of {base}")
