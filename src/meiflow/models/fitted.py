"""A fitted population: models by neuron id, scores and predictions of all, and its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from meiflow.errors import MeiflowError, closest, shorten
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import luminance
from meiflow.models.documents import damaged, read_document, write_document
from meiflow.models.network import NeuronModel, refuse_strangers
from meiflow.models.population import SharedModel

if TYPE_CHECKING:
    import xarray as xr

_FORMAT = "meiflow population 1"
_SHOWN_ROWS = 20


@dataclass(frozen=True, eq=False, repr=False)
class FittedPopulation:
    """The models of a population, by neuron id: ``population["u7"]``.

    Created by `meiflow.fit`, or read by `load` from what `save` wrote. Iteration yields the ids of
    the neurons that have a model, `len` their number, and ``in`` tests for an id.

    Parameters
    ----------
    geometry : Geometry
        The screen, which the images fill.
    documents : mapping of str to dict
        Parameters of each neuron's model.
    failed : mapping of str to str
        Neurons whose fit failed, and why.
    scores : DataFrame
        Output of `score`.
    held_out : DataArray, shape (image, neuron)
        Cross-validated predictions: every image is predicted by models not fitted to it.
    mean : float
        Mean luminance of the images.
    """

    geometry: Geometry
    documents: Mapping[str, dict[str, Any]]
    failed: Mapping[str, str]
    scores: pd.DataFrame
    held_out: xr.DataArray
    mean: float

    @property
    def neurons(self) -> list[str]:
        """Ids of the neurons that have a model."""
        return list(self.documents)

    def __len__(self) -> int:
        return len(self.documents)

    def __iter__(self) -> Iterator[str]:
        return iter(self.documents)

    def __contains__(self, neuron: object) -> bool:
        return neuron in self.documents

    @cached_property
    def _models(self) -> dict[str, NeuronModel]:
        return {}

    def __getitem__(self, neuron: str) -> NeuronModel:
        if neuron not in self._models:
            self._models[neuron] = self._build(neuron)
        return self._models[neuron]

    def _build(self, neuron: str) -> NeuronModel:
        if neuron not in self.documents:
            if neuron in self.failed:
                raise MeiflowError(f"neuron {neuron}: has no model ({self.failed[neuron]})")
            hint = "; ids are text" if not isinstance(neuron, str) else ""
            near = closest(neuron, self.documents)
            raise MeiflowError(
                f"no neuron {neuron!r}{near}{hint}; available: {shorten(self.documents)}"
            )
        model = NeuronModel.of(self.geometry, self.documents[neuron])
        model.mean_luminance = self.mean
        return model.eval()

    @property
    def models(self) -> list[NeuronModel]:
        """The models in the order of `neurons`."""
        return [self[neuron] for neuron in self]

    def score(self) -> pd.DataFrame:
        """How well each model predicts images to which it was not fitted.

        Returns
        -------
        DataFrame
            One row per neuron and model: ``neuron_id``, ``model``, ``cc_abs`` (correlation with the
            mean responses), ``cc_norm`` (relative to what the noise allows; Schoppe et al. 2016),
            ``cc_max``, ``feve``, ``ceiling_error`` (upper estimate of the standard error that the
            noise gives to ``cc_norm``), ``folds``, ``parameters`` and the interval ``cc_norm_low``,
            ``cc_norm_high``. The row ``model`` is the ensemble that is used; its base models and
            the baselines ``pixel_ridge``, ``luminance`` and ``mean`` follow, and
            ``model_shuffled`` is the shuffled control: the same procedure on responses permuted
            across images, which should score near zero. Without repeated images the noise is
            unknown, and all scores except ``cc_abs`` are NaN.
        """
        return self.scores.copy()

    def predict(self, images: ArrayLike) -> xr.DataArray:
        """Predicted responses to images.

        Parameters
        ----------
        images : array_like, shape (images, height, width)
            Luminance in [0, 1].

        Returns
        -------
        DataArray, shape (image, neuron)
            In the units of the fitted counts.
        """
        import xarray as xr

        stack = luminance(images, self.geometry)
        values = SharedModel(self.models).eval().predict(stack)
        coordinates = {"image": np.arange(len(values)), "neuron": self.neurons}
        return xr.DataArray(values, coordinates, ("image", "neuron"), name="response")

    def save(self, path: str | Path) -> None:
        """Write everything to a file of numbers and text, to be read by `load`."""
        table = {name: self.scores[name].tolist() for name in self.scores}
        document = {
            "format": _FORMAT,
            "geometry": asdict(self.geometry),
            "neurons": dict(self.documents),
            "failed": dict(self.failed),
            "scores": table,
            "held_out": torch.as_tensor(self.held_out.to_numpy()),
            "image_ids": self.held_out["image"].to_numpy().tolist(),
            "neuron_ids": self.held_out["neuron"].to_numpy().tolist(),
            "mean": self.mean,
        }
        write_document(document, path)

    @classmethod
    def load(cls, path: str | Path, core: str | None = None) -> FittedPopulation:
        """Read a file written by `save`; nothing in it is executed.

        Parameters
        ----------
        path : path
        core : str, optional
            The ``module:function`` of the core to which the models were fitted, if any; a file
            that names a different one is rejected.

        Raises
        ------
        MeiflowError
            If the file is missing, damaged or of a different kind.
        """
        import xarray as xr

        whole = read_document(path)
        try:
            if whole["format"] != _FORMAT:
                raise ValueError("format")
            for document in whole["neurons"].values():
                refuse_strangers(document["base_models"], path, (core,))
            coordinates = {"image": whole["image_ids"], "neuron": whole["neuron_ids"]}
            return cls(
                Geometry(**whole["geometry"]),
                whole["neurons"],
                whole["failed"],
                pd.DataFrame(whole["scores"]),
                xr.DataArray(
                    whole["held_out"].numpy(), coordinates, ("image", "neuron"), name="response"
                ),
                whole["mean"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, error) from None

    def _headline(self) -> str:
        g = self.geometry
        failed = f" ({len(self.failed)} failed)" if self.failed else ""
        noun = "neuron" if len(self) == 1 else "neurons"
        whole = self.scores[self.scores["model"] == "model"]
        known = bool(whole["cc_norm"].notna().any())
        score = "cc_norm" if known else "cc_abs"
        unknown = "" if known else "; the noise ceiling is unknown without repeated images"
        return (
            f"{len(self)} {noun}{failed}, images {g.height} x {g.width} pixels, "
            f"{g.height_deg:.4g} x {g.width_deg:.4g} degrees; held-out {score} "
            f"{whole[score].median():.2f} (median){unknown}"
        )

    def __repr__(self) -> str:
        return f"<FittedPopulation: {self._headline()}>"

    def _repr_html_(self) -> str:
        kept = self.scores[self.scores["model"].isin(["model", "model_shuffled"])]
        table = kept.pivot(index="neuron_id", columns="model", values=["cc_norm", "cc_abs"])
        table = table.reindex(kept["neuron_id"].unique())
        table.columns = [f"{score}, {model}" for score, model in table.columns]
        shown = table.to_html(
            float_format="{:.2f}".format, na_rep="", max_rows=_SHOWN_ROWS, index_names=False
        )
        return f"<p><b>FittedPopulation</b>: {escape(self._headline())}</p>{shown}"
