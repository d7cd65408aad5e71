"""A file with the models of all neurons of a session, readable neuron by neuron.

It is an uncompressed zip archive. The entries ``{neuron}/model.pt``, ``{neuron}/fold_models.pt``
and ``{neuron}/without_{stimulus}.pt`` can be extracted with any zip tool and read with
``torch.load(weights_only=True)``. Only the entries that are read are verified, by their CRC.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meiflow.errors import MeiflowError, out_of_memory
from meiflow.images.geometry import Geometry
from meiflow.io.writing import atomic
from meiflow.models.documents import damaged, document_bytes, parse_document
from meiflow.models.network import NeuronModel, build_models, file_content

# Fixed date, so that an archive of the same models has the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODEL, _FOLDS = "model.pt", "fold_models.pt"


def write_archive(
    geometry: Geometry,
    models: Mapping[str, dict[str, Any]],
    folds: Callable[[str], Iterable[dict[str, Any]]],
    path: Path,
    without: Callable[[str], Mapping[str, dict[str, Any]]] = lambda _: {},
) -> None:
    """Write the models of all neurons.

    Parameters
    ----------
    geometry : Geometry
        Image grid of the models.
    models : mapping of str to dict
        ``x_deg``, ``y_deg``, ``members`` and ``weights`` for every neuron.
    folds : callable
        Returns the same for the fold models of a neuron; called for one neuron at a time.
    path : path
    without : callable
        Returns the same for the models of a neuron that were not fitted to one kind of stimulus, by
        kind.
    """
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for neuron, model in models.items():
            entries = {_MODEL: [model], _FOLDS: list(map(_used, folds(neuron)))}
            for kind, document in without(neuron).items():
                entries[_without(kind)] = [_used(document)]
            for name, documents in entries.items():
                content = document_bytes(file_content(geometry, documents, one=name != _FOLDS))
                archive.writestr(zipfile.ZipInfo(f"{neuron}/{name}", _DATE), content)


def _without(stimulus: str) -> str:
    return f"without_{stimulus}.pt"


def _used(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the base models that have zero weight in the ensemble."""
    pairs = zip(document["base_models"], document["weights"], strict=True)
    members, weights = zip(*(pair for pair in pairs if pair[1] > 0), strict=True)
    return document | {"base_models": list(members), "weights": list(weights)}


class ModelArchive:
    """Read single neurons from a file written by `write_archive`.

    Parameters
    ----------
    path : path
    geometry : Geometry
        Image grid of the caller.
    core : str, optional
        Core of the configuration that is a ``module:function``, if any.

    Raises
    ------
    MeiflowError
        In all methods, if the file is missing or damaged, does not contain the neuron, or its
        models are for a different image size.

    Examples
    --------
    >>> import tempfile, torch
    >>> screen = Geometry(6, 8)
    >>> linear = {"kind": "ln", "filter": torch.ones(6, 8) / 48}
    >>> linear |= {"offset": 0.0, "baseline": -20.0, "scale": 10.0}
    >>> document = {"x_deg": 5.0, "y_deg": 0.0, "base_models": [linear], "weights": [1.0]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "models.zip"
    ...     write_archive(screen, {"7": document}, lambda neuron: [document] * 2, path)
    ...     archive = ModelArchive(path, screen)
    ...     archive.neurons, archive.model("7").x, len(archive.fold_models("7"))
    (['7'], 5.0, 2)
    """

    def __init__(self, path: str | Path, geometry: Geometry, core: str | None = None) -> None:
        self.path, self.geometry, self._core = Path(path), geometry, core

    @property
    def neurons(self) -> list[str]:
        """Ids of the neurons that have a model."""
        return [n.removesuffix(f"/{_MODEL}") for n in self._names() if n.endswith(f"/{_MODEL}")]

    def model(self, neuron: str, custom: str | None = None) -> NeuronModel:
        """The model of one neuron.

        With `custom` (``module:function``) it is the user's module, with the RF position of our
        model.
        """
        document = self._document(neuron, _MODEL)
        if custom is not None:
            member = {"kind": "custom", "spec": custom, "neuron": neuron}
            unit = {"unit": 1.0} if "unit" in document else {}
            document = document | {"base_models": [member], "weights": [1.0]} | unit
        return build_models(document, self.path, self.geometry, (custom, self._core))[0]

    def member(self, neuron: str, kind: str) -> NeuronModel:
        """A single base model of a neuron's ensemble."""
        document = self._document(neuron, _MODEL)
        state = next((s for s in document["base_models"] if s["kind"] == kind), None)
        if state is None:
            kinds = ", ".join(s["kind"] for s in document["base_models"])
            raise MeiflowError(
                f"{self.path}: neuron {neuron} has no base model {kind}, only {kinds}; add "
                f"{kind} to model.base_models"
            )
        alone = document | {"base_models": [state], "weights": [1.0]}
        return build_models(alone, self.path, self.geometry, (self._core,))[0]

    def fold_models(self, neuron: str) -> list[NeuronModel]:
        """The fold models of a neuron, fitted to the training images of each fold."""
        document = self._document(neuron, _FOLDS)
        return build_models(document, self.path, self.geometry, (self._core,))

    def without(self, neuron: str, stimulus: str) -> NeuronModel | None:
        """The model of a neuron that was not fitted to a kind of stimulus, if there is one."""
        if f"{neuron}/{_without(stimulus)}" not in self._names():
            return None
        document = self._document(neuron, _without(stimulus))
        return build_models(document, self.path, self.geometry, (self._core,))[0]

    def extract(self, neuron: str) -> dict[str, bytes]:
        """The entries of one neuron: file name to content."""
        return {name: self._content(neuron, name) for name in (_MODEL, _FOLDS)}

    def _document(self, neuron: str, name: str) -> dict[str, Any]:
        return parse_document(self._content(neuron, name), self.path)

    def _names(self) -> list[str]:
        with self._opened() as archive:
            return archive.namelist()

    def _content(self, neuron: str, name: str) -> bytes:
        with self._opened() as archive:
            entry = f"{neuron}/{name}"
            if entry not in archive.namelist():
                raise MeiflowError(
                    f"{self.path}: no model for neuron {neuron}; fit the models again"
                )
            return archive.read(entry)

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                # in a truncated file, zipfile may find the directory of a document inside it
                if min((e.header_offset for e in archive.infolist()), default=0):
                    raise zipfile.BadZipFile("no directory of all neurons")
                yield archive
        except MeiflowError:
            raise
        except FileNotFoundError:
            raise MeiflowError(f"{self.path}: no such file; fit the models again") from None
        except Exception as error:  # a damaged archive fails in many ways
            if out_of_memory(error) or isinstance(error, PermissionError):
                raise
            raise damaged(self.path, error) from None
