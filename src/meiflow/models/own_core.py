"""Cores of the user's own: any torch module that returns feature maps."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from meiflow.errors import MeiflowError
from meiflow.models.custom import EvaluationOnly, call_function, evaluation_module, require_cpu

_WHAT = "no arguments"
_HINT = (
    "it must map images (batch, 1, rows, columns) to feature maps (batch, channels, rows, "
    "columns) or to a list of these"
)


class OwnCore(EvaluationOnly):
    """Feature maps of a module that a user's function returns.

    Parameters
    ----------
    spec : str
        ``module:function``, called without arguments; see `meiflow.models.custom.call_function`.
    size : tuple of int
        Rows and columns of the images, with which the module is tested.
    fingerprint : str, optional
        The `fingerprint` that it had when the models were fitted.

    Attributes
    ----------
    channels : int
        Number of channels of all maps.
    fingerprint : str
        Hash of the module's parts, parameters and buffers, and of the sizes of its maps.

    Raises
    ------
    MeiflowError
        If the function fails, returns something else, or its module has changed.
    """

    def __init__(self, spec: str, size: tuple[int, int], fingerprint: str | None = None) -> None:
        super().__init__()
        self.spec, self._name = spec, f"model.network.core {spec}"
        module = call_function(spec, self._name, what=_WHAT)
        module = evaluation_module(module, self._name, _HINT)
        require_cpu(module, self._name)
        self.module = module.requires_grad_(False)
        probe = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
        maps = self._check(probe)
        self.channels = sum(m.shape[1] for m in maps)
        self.fingerprint = _fingerprint(module, maps)
        if fingerprint not in (None, self.fingerprint):
            raise MeiflowError(
                f"{self._name}: returns another network than when the models were fitted; fit them "
                "again, or return the same one"
            )

    def _check(self, probe: Tensor) -> list[Tensor]:
        probe.requires_grad_(True)
        try:
            maps = self(probe, 0.0)
        except MeiflowError:
            raise
        except Exception as error:  # user code may raise anything
            raise MeiflowError(
                f"{self._name}: fails on images of shape {tuple(probe.shape)}: "
                f"{type(error).__name__}: {error}; {_HINT}"
            ) from None
        if not all(bool(torch.isfinite(m).all()) for m in maps):
            raise MeiflowError(f"{self._name}: returns values that are not finite")
        if not all(m.requires_grad for m in maps):
            raise MeiflowError(
                f"{self._name}: not differentiable with respect to the images; avoid no_grad, "
                "detach and conversions to numpy"
            )
        with torch.no_grad():
            again = self(probe[:1], 0.0)
        if all(float((m[0] - m[1]).detach().abs().max()) == 0 for m in maps):
            raise MeiflowError(
                f"{self._name}: returns the same values for all images; images are luminance in "
                "0..1"
            )
        pairs = zip(again, maps, strict=True)
        if not all(torch.allclose(a, m[:1], rtol=1e-3, atol=1e-4) for a, m in pairs):
            raise MeiflowError(
                f"{self._name}: returns other values for an image alone than in a batch, or at "
                "every call; remove noise, and normalisation across a batch"
            )
        return maps

    def as_document(self) -> dict[str, Any]:
        """Name and fingerprint, for a model file: the code stays with the user."""
        return {"spec": self.spec, "fingerprint": self.fingerprint}

    def forward(self, x: Tensor, grey: float) -> list[Tensor]:
        """Maps (batch, channels, rows, columns) of images (batch, 1, rows, columns)."""
        found = self.module(x)
        maps = list(found) if isinstance(found, list | tuple) else [found]
        if not maps or not all(isinstance(m, Tensor) and m.ndim == 4 for m in maps):
            got = [tuple(m.shape) if isinstance(m, Tensor) else type(m).__name__ for m in maps]
            raise MeiflowError(f"{self._name}: returns {got}; {_HINT}")
        return maps


def _fingerprint(module: nn.Module, maps: list[Tensor]) -> str:
    parts = [type(part).__qualname__ for part in module.modules()]
    sizes = [tuple(m.shape) for m in maps]
    digest = hashlib.blake2b(f"{parts}{sizes}".encode(), digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().double().numpy().tobytes())
    return digest.hexdigest()
