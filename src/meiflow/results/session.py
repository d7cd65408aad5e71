"""Results of a finished session as tables and labelled arrays, read when needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.labelled import labelled
from meiflow.results.layout import Layout, NeuronLayout
from meiflow.results.neurons import fitted_neurons, require_selected

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from meiflow.models.archive import ModelArchive
    from meiflow.models.network import NeuronModel
    from meiflow.tables.stack import StackInfo


def open_results(folder: str | Path, core: str | None = None) -> SessionResults:
    """Open the results folder of a session.

    Parameters
    ----------
    folder : path
        ``results/{id}``.
    core : str, optional
        ``model.network.core`` of the configuration, if it is a ``module:function``; needed only to
        build such models.

    Returns
    -------
    SessionResults

    Raises
    ------
    MeiflowError
        If there are no results, or if no neuron has a model yet.

    Examples
    --------
    >>> run = open_results("results/demo")  # doctest: +SKIP
    >>> run.summary[["neuron_id", "cc_norm_model", "trusted"]]  # doctest: +SKIP
    >>> run["950000147"].mei.plot()  # doctest: +SKIP
    """
    layout = Layout(folder)
    if not layout.fitted_neurons.exists():
        raise MeiflowError(
            f"{folder}: no results of a session ({layout.fitted_neurons.relative_to(layout.root)} "
            "is missing); give the folder of a session, such as results/demo, whose models have "
            "been fitted"
        )
    return SessionResults(layout, core)


class SessionResults:
    """The results of one session; use `open_results`.

    Iterating gives the ids of the fitted neurons as text; ``run[id]`` the results of a neuron.

    Parameters
    ----------
    layout : Layout
        Paths of all files, including those without a property here.
    core : str, optional
        See `open_results`.
    """

    def __init__(self, layout: Layout, core: str | None = None) -> None:
        self.layout, self.core = layout, core

    def __repr__(self) -> str:
        return f"<results of {len(self)} neurons in {self.layout.root}>"

    @cached_property
    def neurons(self) -> list[str]:
        """Ids of the neurons that were selected and have a model."""
        return fitted_neurons(self.layout.fitted_neurons)

    def __iter__(self) -> Iterator[str]:
        return iter(self.neurons)

    def __len__(self) -> int:
        return len(self.neurons)

    def __contains__(self, neuron: object) -> bool:
        return str(neuron) in self.neurons

    def __getitem__(self, neuron: str | int) -> NeuronResults:
        name = str(neuron)
        if name not in self.neurons:
            require_selected(self.layout.fitted_neurons, name)
        return NeuronResults(name, self)

    @cached_property
    def image_info(self) -> StackInfo:
        """Ids, geometry, mean luminance and contrast of the images."""
        from meiflow.results.tables import read_stack_info

        return read_stack_info(self.layout)

    @property
    def geometry(self) -> Geometry:
        """Grid of the images on the screen."""
        return self.image_info.geometry

    @property
    def summary(self) -> pd.DataFrame:
        """One row per fitted neuron: selection, scores, MEI, trust."""
        return _table(self.layout.summary)

    @property
    def selection(self) -> pd.DataFrame:
        """One row per neuron, selected or not: reliability, activity, and the reason."""
        return _table(self.layout.selection)

    @property
    def scores(self) -> pd.DataFrame:
        """Held-out scores, one row per neuron and model."""
        return _table(self.layout.cross_validation)

    @property
    def trust(self) -> pd.DataFrame:
        """Confidence in the MEIs, and why some are not trusted."""
        return _table(self.layout.trust)

    @property
    def closed_loop(self) -> pd.DataFrame:
        """Responses of the true neurons to every stimulus, for simulated sessions."""
        return _table(self.layout.closed_loop)

    @property
    def images(self) -> xr.DataArray:
        """The images that were shown (image, y, x), luminance 0..1."""
        from meiflow.results.tables import read_stack

        ids, images = read_stack(self.layout)
        return labelled(images, self.geometry, "luminance", image=ids)

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial: trial_id, neuron_id, spike_count or response, image_id (-1: blank)."""
        return _table(self.layout.trials)

    @property
    def responses(self) -> xr.DataArray:
        """Mean counts, or averages of real-valued responses, of all neurons (image, neuron)."""
        import xarray as xr

        table = _table(self.layout.responses).set_index("image_id")
        return xr.DataArray(
            table.to_numpy(float),
            dims=("image", "neuron"),
            coords={"image": table.index.to_numpy(), "neuron": [str(c) for c in table]},
            name=self.image_info.response.noun,
        )

    @property
    def meis(self) -> xr.DataArray:
        """The MEIs of all fitted neurons (neuron, y, x), luminance 0..1."""
        images = [_array(self.layout.neuron(n).mei) for n in self.neurons]
        stack = np.stack(images) if images else np.empty((0, *self.geometry.shape))
        return labelled(stack, self.geometry, "luminance", neuron=self.neurons)

    def stimuli(self, procedure: str) -> xr.DataArray:
        """Images made by a procedure: (neuron, y, x), or (neuron, image, y, x) for sets.

        Parameters
        ----------
        procedure : str
            Name of a file in ``stimuli/``, such as ``diverse`` or ``best_gabors``.
        """
        files = self.layout.procedure(procedure)
        images = _array(files.images)
        neurons = list(dict.fromkeys(_table(files.table)["neuron_id"]))
        several = {"image": np.arange(images.shape[1])} if images.ndim == 4 else {}
        return labelled(images, self.geometry, "luminance", neuron=neurons, **several)


class NeuronResults:
    """The results of one neuron; use ``run[id]``.

    Parameters
    ----------
    neuron : str
    session : SessionResults
    """

    def __init__(self, neuron: str, session: SessionResults) -> None:
        self.neuron, self.session = neuron, session

    def __repr__(self) -> str:
        return f"<results of neuron {self.neuron} in {self.files.root}>"

    @property
    def files(self) -> NeuronLayout:
        """Paths of the neuron's files."""
        return self.session.layout.neuron(self.neuron)

    @cached_property
    def model(self) -> NeuronModel:
        """The fitted model: a torch module from images to expected counts."""
        if "mixture" in set(self.scores["model"]):
            raise MeiflowError(
                f"{self.files.root}: these results were made with model.custom; build that module "
                "yourself, because the archive contains only meiflow's models"
            )
        model = self._archive.model(self.neuron)
        model.mean_luminance = self.session.image_info.mean_luminance
        return model

    @property
    def fold_models(self) -> list[NeuronModel]:
        """The models fitted to the training images of each cross-validation fold."""
        return self._archive.fold_models(self.neuron)

    @property
    def _archive(self) -> ModelArchive:
        from meiflow.models.archive import ModelArchive

        session = self.session
        return ModelArchive(session.layout.models, session.geometry, session.core)

    @property
    def mei(self) -> xr.DataArray:
        """The most exciting input (y, x), luminance 0..1."""
        return self._image(self.files.mei)

    @property
    def best_gabor(self) -> xr.DataArray:
        """The best Gabor in silico (y, x)."""
        return self._image(self.files.best_gabor)

    @property
    def best_natural(self) -> xr.DataArray:
        """The best natural image (y, x), at the common mean and contrast."""
        return self._image(self.files.best_natural)

    @property
    def comparison(self) -> pd.DataFrame:
        """Metrics, one row per stimulus."""
        return _table(self.files.comparison)

    @property
    def scores(self) -> pd.DataFrame:
        """Held-out scores, one row per model."""
        return _table(self.files.scores)

    @property
    def trace(self) -> pd.DataFrame:
        """Trace of the optimisation of the MEI, one row per step."""
        return _table(self.files.mei_trace)

    def _image(self, path: Path) -> xr.DataArray:
        return labelled(_array(path), self.session.geometry, "luminance")


def _table(path: Path) -> pd.DataFrame:
    from meiflow.io.files import read_csv

    return read_csv(path)


def _array(path: Path) -> NDArray:
    from meiflow.io.files import read_array

    return read_array(path)
