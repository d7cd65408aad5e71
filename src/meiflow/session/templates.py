"""Download the templates of natural scenes and movies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from meiflow.config.sections import Session
from meiflow.errors import MeiflowError, closest, shorten
from meiflow.io.checksums import sha256_of
from meiflow.io.files import write_text
from meiflow.io.writing import atomic
from meiflow.progress import logger, track
from meiflow.session.catalogue import HOME, Catalogue
from meiflow.session.transfer import ConnectionLimits, FetchError, fetch, is_as_fetched

SCENES = 118
_MOVIE_PATH = f"{HOME}/natural_movie_templates/natural_movie_{{number}}.h5"
# Numbers of the templates; the files are plain .npy arrays in spite of their names.
MOVIES = {
    "natural_movie_one": 1,
    "natural_movie_three": 3,
    "natural_movie_one_more_repeats": 1,
}
_SHUFFLED = "natural_movie_one_shuffled"


def fetch_from(
    what: str,
    bucket: Callable[[], str],
    warehouse: Callable[[], str],
    path: Path,
    network: ConnectionLimits,
    check: Callable[[Path], None],
) -> list[str]:
    """Fetch a file from the first address that has it; returns what was wrong if none does."""
    faults = []
    for address in (bucket, warehouse):
        try:
            url = address()
            logger.info(f"{what}: downloading {url}")
            fetch(url, path, network, check)
            return []
        except FetchError as error:
            faults.append(str(error))
            logger.info(f"{what}: {error}")
    return faults


def _check_movie(path: Path) -> None:
    """Check that a file is a whole stack of 8-bit frames."""
    try:
        stack = np.load(path, mmap_mode="r", allow_pickle=False)
        good = stack.ndim == 3 and stack.dtype == np.uint8 and 0 not in stack.shape
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise FetchError(f"not a complete movie template ({reason})") from None
    if not good:
        raise FetchError(f"has shape {stack.shape} and type {stack.dtype}; expected 8-bit frames")


def check_movie_names(session: Session) -> None:
    """Check that there is a template of every movie in ``session.movies.shown``."""
    for name in session.movies.shown:
        if name == _SHUFFLED:
            raise MeiflowError(
                f"session.movies.shown: {name} cannot be used, because no file of the release "
                "gives the order in which its frames are on the monitor; remove it"
            )
        if name not in MOVIES:
            raise MeiflowError(
                f"session.movies.shown: there is no template of {name!r}{closest(name, MOVIES)}; "
                f"known: {', '.join(MOVIES)}"
            )


def fetch_movies(
    session: Session,
    names: list[str],
    catalogue: Catalogue,
    folder: Path,
    network: ConnectionLimits,
) -> None:
    """Download the templates of natural movies, unless they exist unchanged."""
    for name in names:
        number, path = MOVIES[name], folder / f"{name}.npy"
        folder.mkdir(parents=True, exist_ok=True)
        if is_as_fetched(path):
            continue
        faults = fetch_from(
            name,
            lambda number=number: f"{session.bucket}/{_MOVIE_PATH.format(number=number)}",  # type: ignore[misc]
            lambda number=number: f"{session.warehouse}/{catalogue.warehouse.movie_route(number)}",  # type: ignore[misc]
            path,
            network,
            _check_movie,
        )
        if faults:
            raise MeiflowError(
                f"{name} could not be downloaded: {'; '.join(faults)}. Run the same command again "
                "later, or set session.movies.shown: [] to do without movies"
            )


def fetch_scenes(catalogue: Catalogue, images: Path) -> None:
    """Download the templates of natural scenes as PNG files, unless they exist unchanged."""
    from PIL import Image

    images.mkdir(parents=True, exist_ok=True)
    targets = [images / f"{number:03d}.png" for number in range(SCENES)]
    missing = [(n, t) for n, t in enumerate(targets) if not t.exists()]
    for number, target in track(missing, "downloading templates", len(missing)) if missing else ():
        try:
            pixels = catalogue.scene(number)
        except MeiflowError:
            raise
        except Exception as error:  # Pillow, AllenSDK and SimpleITK raise many types
            reason = " ".join(str(error).split())[:120]
            raise MeiflowError(
                f"natural scene {number} could not be downloaded ({reason}); run again"
            ) from None
        if pixels.dtype.name != "uint8" or pixels.ndim not in (2, 3):
            raise MeiflowError(
                f"natural scene {number} has type {pixels.dtype} and shape {pixels.shape}; "
                "expected 8-bit pixels; delete it from the cache and run again"
            )
        with atomic(target) as temporary:
            Image.fromarray(pixels).save(temporary)
    _check_scenes(images, targets)


def _check_scenes(images: Path, targets: list[Path]) -> None:
    """Record the hashes of all templates once complete; verify them at every later use."""
    record = images / "templates.json"
    now = {target.name: sha256_of(target) for target in targets}
    if not record.exists():
        write_text(json.dumps(now, indent=1) + "\n", record)
        return
    try:
        was = dict(json.loads(record.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise MeiflowError(f"{record}: damaged; delete it and run again") from None
    changed = sorted(name for name in now if now[name] != was.get(name))
    if changed:
        raise MeiflowError(
            f"{images}: {shorten(changed)} changed since the download; delete the wrong files and "
            f"{record.name}, and run again"
        )
