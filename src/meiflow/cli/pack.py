"""The commands of the next experiment: export a stimulus pack, and read the responses to it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.options import ConfigOption, NeuronsOption
from meiflow.config.config import load_config
from meiflow.errors import MeiflowError
from meiflow.io.paths import is_name

NEXT = "Next experiment"
_Pair = tuple[float, float]


class Projection(StrEnum):
    """How images are drawn on a flat monitor."""

    SPHERICAL = "spherical"
    FLAT = "flat"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export-stimuli", rich_help_panel=NEXT)(export_stimuli)
    app.command("read-pack", rich_help_panel=NEXT)(read_pack)


def export_stimuli(
    results: Annotated[Path, typer.Argument(help="results of a session, such as results/demo")],
    folder: Annotated[Path, typer.Argument(help="new folder")],
    size_cm: Annotated[_Pair, typer.Option(help="width and height of the monitor")],
    distance_cm: Annotated[float, typer.Option(help="from the eye to its nearest point")],
    resolution: Annotated[tuple[int, int], typer.Option(help="width and height in pixels")],
    gamma: Annotated[
        str,
        typer.Option(
            help="exponent (1: the software linearises the monitor), or a CSV level,luminance"
        ),
    ],
    projection: Annotated[
        Projection,
        typer.Option(help="spherical: degrees of visual angle (Allen's warp); flat: linear in cm"),
    ] = Projection.SPHERICAL,
    eyepoint: Annotated[
        _Pair,
        typer.Option(help="point nearest to the eye: fraction from the left, and from the bottom"),
    ] = (0.5, 0.5),
    neuron: NeuronsOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="all fitted neurons; by default those that are trusted")
    ] = False,
    stimulus: Annotated[
        list[str] | None,
        typer.Option(
            help="mei, best_gabor, best_natural, other_mei, scrambled_mei (these by default), "
            "recorded_gabor, windowed_natural; a blank is added"
        ),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: further images, .npy (neurons, height, width)"),
    ] = None,
    contrast: Annotated[
        list[float] | None,
        typer.Option(help="RMS contrast; by default half and all of that of the MEIs"),
    ] = None,
    background: Annotated[
        float | None,
        typer.Option(help="luminance of the blank, 0 to 1; by default the mean of the stimuli"),
    ] = None,
    centre: Annotated[
        _Pair | None,
        typer.Option(help="move every MEI to this position, x y in degrees; by default kept"),
    ] = None,
    shift: Annotated[
        _Pair | None, typer.Option(help="move all images by x y degrees, right and upwards")
    ] = None,
    blocks: Annotated[
        int, typer.Option(min=2, max=10_000, help="presentations of each stimulus")
    ] = 20,
    duration_s: Annotated[float, typer.Option(min=0.001, max=60)] = 0.25,
    gap_s: Annotated[float, typer.Option(min=0, max=60)] = 0.25,
    seed: Annotated[int, typer.Option(min=0, help="of order and controls")] = 0,
    config: ConfigOption = "{}",
) -> None:
    """Write the stimuli of chosen neurons for a monitor: pictures, order, predictions, NWB."""
    from meiflow.pack.design import DEFAULT, Design
    from meiflow.pack.monitor import Monitor
    from meiflow.results.layout import Layout
    from meiflow.stages.export_stimuli import export_stimuli, read_gamma

    design = Design(
        Monitor(*size_cm, distance_cm, *resolution, projection.value, eyepoint),
        read_gamma(gamma),
        tuple(neuron or ()),
        every,
        tuple(stimulus or DEFAULT),
        dict(map(_named, extra or ())),
        tuple(contrast or ()),
        background,
        centre,
        shift,
        blocks,
        duration_s,
        gap_s,
        seed,
    )
    made = export_stimuli(load_config(config), Layout(results), folder, design)
    print(f"{folder}: {made}; next: read {folder / 'README.txt'}")


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not is_name(name) or not path:
        raise MeiflowError(f"--extra {text[:80]!r}: expected NAME=FILE, such as mine=images.npy")
    return name, Path(path)


def read_pack(
    pack: Annotated[Path, typer.Argument(help="folder written by export-stimuli")],
    responses: Annotated[
        Path,
        typer.Argument(
            help="CSV with a row per presentation: frame or stimulus_id, then a column per neuron"
        ),
    ],
    out: Annotated[Path, typer.Argument(help="new folder for tables and figure")],
    match: Annotated[
        Path | None,
        typer.Option(help="CSV neuron_id,recorded_id, if the columns have other names"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of bootstrap and permutations")] = 0,
) -> None:
    """Score the predictions against the responses to a stimulus pack: MEI against the others."""
    from meiflow.stages.read_pack import score_responses

    print(f"{out}: {score_responses(pack, responses, out, match, seed)}")
