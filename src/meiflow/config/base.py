"""Types and helpers shared by all sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from meiflow.io.paths import LONGEST_NAME, NAME

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1_000_000)]
Degrees = Annotated[float, Field(ge=0.001, le=360)]
Amount = Annotated[float, Field(ge=0, le=1_000_000)]
FUNCTION = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"  # module:function
Identifier = Annotated[str, Field(pattern=f"^{NAME}$", max_length=LONGEST_NAME)]

T = TypeVar("T")


def _usable_path(path: str) -> str:
    """The path, if the workflow can pass it on unchanged."""
    if not path.isprintable():
        raise ValueError("contains non-printable characters; rename the file")
    if set(path) & set("{}"):
        raise ValueError(
            f"{path!r} contains braces, which Snakemake treats as wildcards; rename the file"
        )
    if path.startswith("-"):
        raise ValueError(f"{path!r} looks like an option; write ./{path}")
    return path


InputPath = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_usable_path)]


CustomFiles = Annotated[list[InputPath], Field(max_length=1000)]
CUSTOM_FILES = (
    "files or folders that the custom code reads, such as weights, beyond those whose paths are "
    "written in it; a change in one of them reruns what depends on it"
)


class Section(BaseModel):
    """Base class of a section: no unknown keys, no type conversions, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def each_once(names: list[T]) -> list[T]:
    """The names, if there are no duplicates."""
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"duplicate {twice[0]!r}; remove one")
    return names


def ids_as_text(value: Any) -> Any:
    """Convert whole numbers in a list to text: ids that YAML reads as numbers."""
    if not isinstance(value, list):
        return value
    return [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
