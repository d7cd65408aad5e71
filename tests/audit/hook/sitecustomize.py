"""Records the files a meiflow command opens and writes, and the configuration keys it reads.

Python imports this module at start-up where its folder is on PYTHONPATH, and a fork of
`tests.forks` calls `start`. It does nothing unless MEIFLOW_AUDIT names a folder for the notes and
the process is the command ``meiflow``. MEIFLOW_KNOWN_CORES replaces published cores by those of a
test, as JSON.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any


def _install(folder: Path) -> None:  # noqa: PLR0915
    opened: set[str] = set()
    written: set[str] = set()
    keys: set[str] = set()
    paths: dict[int, str] = {}
    here = os.getcwd()

    def inside(path: Any) -> str | None:
        try:
            text = os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError):
            return None
        return os.path.relpath(text, here) if text.startswith(here + os.sep) else None

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            name = inside(path)
            # a file that is looked for but missing is not an input
            if name and not flags & (os.O_WRONLY | os.O_RDWR) and os.path.exists(name):
                opened.add(name)
        elif event == "os.rename":
            name = inside(arguments[1])
            if name is not None:
                written.add(name)

    sys.addaudithook(hook)

    from meiflow.config import base, config

    plain = base.Section.__getattribute__

    def recorded(self: Any, name: str) -> Any:
        value = plain(self, name)
        where = paths.get(id(self))
        if where is not None and name in type(self).model_fields:
            if not isinstance(value, base.Section):
                keys.add(f"{where}{name}")
        elif where is not None and name == "model_dump":
            keys.update(_leaves(self, where))
        elif where is not None and name == "model_copy":
            return _followed(value, where)
        return value

    def _followed(copy: Any, where: str) -> Any:
        def copied(**given: Any) -> Any:
            made = copy(**given)
            alive.append(made)
            _register(made, where)
            return made

        return copied

    def _leaves(section: Any, where: str) -> list[str]:
        found: list[str] = []
        for name in type(section).model_fields:
            value = plain(section, name)
            inner = isinstance(value, base.Section)
            found += _leaves(value, f"{where}{name}.") if inner else [f"{where}{name}"]
        return found

    def _register(section: Any, where: str) -> None:
        paths[id(section)] = where
        for name in type(section).model_fields:
            value = plain(section, name)
            if isinstance(value, base.Section):
                _register(value, f"{where}{name}.")

    load = config.load_config
    alive: list[Any] = []

    def load_config(source: str | Path) -> Any:
        parsed = load(source)
        alive.append(parsed)
        _register(parsed, "")
        return parsed

    base.Section.__getattribute__ = recorded  # type: ignore[method-assign]
    for module in (config, sys.modules.get("meiflow.cli.stages")):
        if module is not None:
            module.load_config = load_config  # type: ignore[attr-defined]

    def note() -> None:
        content = {
            "arguments": sys.argv[1:],
            "opened": sorted(opened),
            "written": sorted(written),
            "keys": sorted(keys),
        }
        (folder / f"{uuid.uuid4().hex}.json").write_text(json.dumps(content))

    atexit.register(note)


def start(command: str) -> None:
    """Do what the environment asks for; ``command`` is the script or module that runs."""
    if os.environ.get("MEIFLOW_KNOWN_CORES"):
        from meiflow.config.cores import KNOWN_CORES, KnownCore

        for name, values in json.loads(os.environ["MEIFLOW_KNOWN_CORES"]).items():
            KNOWN_CORES[name] = KnownCore(**values)
    if os.environ.get("MEIFLOW_AUDIT") and os.path.basename(command) == "meiflow":
        _install(Path(os.environ["MEIFLOW_AUDIT"]))


start(next((a for a in sys.orig_argv[1:] if not a.startswith("-")), ""))
