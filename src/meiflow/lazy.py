"""Packages that offer names of heavy modules and import these only when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, public: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """``__all__``, ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    public : mapping of str to sequence of str
        Module of the package to the names it offers. `Geometry` comes with every package.
    """
    home = {name: f"{package}.{module}" for module, names in public.items() for name in names}
    home["Geometry"] = "meiflow.images.geometry"

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    return sorted(home), get, lambda: sorted(home)
