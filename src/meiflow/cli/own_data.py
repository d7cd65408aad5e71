"""Commands that turn a lab's own files into tables and a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FolderArgument = Annotated[Path, typer.Argument(help="new folder for trials.csv and config.yaml")]
ImagesOption = Annotated[
    Path, typer.Option("--images", help=".npy stack (images, height, width), or folder of pictures")
]
SizeOption = Annotated[
    tuple[float, float],
    typer.Option("--size-deg", help="visual angle that the images span: width and height"),
]
WindowOption = Annotated[
    tuple[float, float],
    typer.Option("--window", help="start and stop of the counting window after the onset, s"),
]


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands."""
    app.command("convert-matrix", rich_help_panel=panel)(convert_matrix)
    app.command("convert-phy", rich_help_panel=panel)(convert_phy)


def convert_matrix(
    matrix: Annotated[Path, typer.Argument(help=".npy (trials, neurons)")],
    image_ids: Annotated[Path, typer.Argument(help=".npy (trials,): row of the stack, -1: blank")],
    folder: FolderArgument,
    images: ImagesOption,
    size_deg: SizeOption,
    window: WindowOption = (0.0, 0.25),
) -> None:
    """Convert a matrix of spike counts or other responses, with the image of each trial."""
    from meiflow.stages.convert_own import convert_matrix

    _done(folder, convert_matrix(matrix, image_ids, folder, images, size_deg, window))


def convert_phy(
    source: Annotated[Path, typer.Argument(help="folder of Kilosort or phy")],
    presentations: Annotated[
        Path, typer.Argument(help="CSV start_s, image_id (-1: blank): one row per presentation")
    ],
    folder: FolderArgument,
    images: ImagesOption,
    size_deg: SizeOption,
    window: WindowOption = (0.0, 0.25),
    label: Annotated[
        list[str] | None, typer.Option(help="label of the clusters to convert; by default good")
    ] = None,
) -> None:
    """Count the spikes of a Kilosort or phy folder around the onsets of the images."""
    from meiflow.stages.convert_own import convert_phy

    labels = tuple(label or ("good",))
    _done(folder, convert_phy(source, presentations, folder, images, size_deg, window, labels))


def _done(folder: Path, made: str) -> None:
    config = folder / "config.yaml"
    print(f"{made}; next: meiflow check {config} && meiflow run {config}")
