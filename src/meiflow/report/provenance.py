"""Provenance of the results: hashes of the inputs, versions of the software."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from meiflow import __version__
from meiflow.config.cores import KNOWN_CORES
from meiflow.errors import MeiflowError
from meiflow.io.checksums import CHECKSUMS, sha256_of, verify_checksum
from meiflow.session.transfer import read_record

_PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "pandas",
    "scikit-learn",
    "matplotlib",
    "snakemake",
    "allensdk",
    "pynwb",
    "h5py",
    "rastermap",
    "numba",
)


def hash_of(path: Path) -> dict[str, Any]:
    """Path, size and SHA-256 of a file or of the files in a folder, and how it was obtained.

    The hash of a folder is that of the lines ``SHA-256, two spaces, name`` of its files, sorted by
    name (as given by ``sha256sum * | sha256sum``), without `SHA256SUMS`. For a downloaded file, the
    recorded hash is used if the file still has the recorded size. A published core is named with
    its licence and citation.

    Raises
    ------
    MeiflowError
        If the file or folder does not exist.
    """
    if path.is_dir():
        zarr = (path / ".zgroup").is_file()  # NWB-Zarr, whose files are in subfolders
        seen = [p for p in path.iterdir() if not p.name.startswith(".") and p.name != CHECKSUMS]
        files = sorted(filter(Path.is_file, path.rglob("*") if zarr else seen))
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{sha256_of(file)}  {file.relative_to(path)}\n".encode())
        size = sum(file.stat().st_size for file in files)
        found = {
            "bytes": size,
            "sha256": digest.hexdigest(),
            "how": f"folder of {len(files)} files",
        }
        return {"path": str(path)} | found
    if not path.is_file():
        raise MeiflowError(f"{path}: no such file or folder; nothing to hash")
    verify_checksum(path)
    size = path.stat().st_size
    record = read_record(path)
    sha256, how = "", "file"
    if record is not None and record.size == size:
        sha256, how = record.sha256, f"recorded when downloaded from {record.url}"
    sha256 = sha256 or sha256_of(path)
    core = next((core for core in KNOWN_CORES.values() if core.sha256 == sha256), None)
    how += f"; {core.about}; {core.credit}" if core else ""
    return {"path": str(path), "bytes": size, "sha256": sha256, "how": how}


def read_provenance(path: Path) -> list[dict[str, Any]]:
    """The inputs that provenance.json lists.

    Raises
    ------
    MeiflowError
        If the file is missing or damaged.
    """
    verify_checksum(path)
    try:
        inputs = json.loads(path.read_text(encoding="utf-8"))["inputs"]
        return [{k: one[k] for k in ("path", "bytes", "sha256", "how")} for one in inputs]
    except (OSError, ValueError, KeyError, TypeError):
        raise MeiflowError(f"{path}: missing or unreadable; run meiflow provenance") from None


def read_notes(path: Path) -> list[str]:
    """The notes on the inputs in notes.json.

    Raises
    ------
    MeiflowError
        If the file is missing or damaged.
    """
    verify_checksum(path)
    try:
        return [str(note) for note in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        raise MeiflowError(f"{path}: missing or unreadable; rebuild the tables") from None


def versions() -> dict[str, str]:
    """Version of meiflow, Python and the packages that results depend on."""
    found = {"meiflow": __version__, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def hash_of_text(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
