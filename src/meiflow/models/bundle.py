"""All neurons' files in one archive: one neuron's are taken out without PyTorch.

Every neuron has a job of its own that needs nothing but its files. Importing PyTorch takes such a
job longer than all its work, so that the search writes the bytes of each file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

from meiflow.errors import MeiflowError
from meiflow.io.checksums import verify_checksum
from meiflow.io.writing import atomic

# An archive of the same files is the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_bundle(files: dict[str, Callable[[], bytes]], path: Path) -> None:
    """Write an archive.

    Parameters
    ----------
    files : dict of str to callable
        ``neuron/name`` to what makes the file's bytes, one at a time.
    path : path
    """
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, make in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), make())


def unpack_neuron(path: Path, neuron: str, output: Path) -> None:
    """Write the files of one neuron into a folder.

    Raises
    ------
    MeiflowError
        If the archive is missing or damaged, or has no such neuron.
    """
    verify_checksum(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.startswith(f"{neuron}/")]
            # read whole before any is written: the check sum comes at the end
            contents = {n.removeprefix(f"{neuron}/"): archive.read(n) for n in names}
    except FileNotFoundError:
        raise MeiflowError(f"{path}: no such file; fit the models again") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise MeiflowError(
            f"{path}: not an archive of models, or damaged ({error}); delete it and run the "
            "workflow again"
        ) from None
    if not contents:
        raise MeiflowError(f"{path}: has no neuron {neuron}; fit the models again")
    for name, content in contents.items():
        with atomic(output / name) as temporary:
            temporary.write_bytes(content)
