"""Parameterisations of stimuli other than pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from meiflow.stimuli.preconditioning import falling


class Parameterisation(Protocol):
    """Conversion between stimuli and free parameters."""

    def encode(self, stimuli: Tensor) -> Tensor:
        """Parameters (batch, ...) of stimuli."""
        ...

    def decode(self, parameters: Tensor) -> Tensor:
        """Stimuli of parameters, differentiable."""
        ...


@dataclass(frozen=True)
class FourierParameterisation:
    """Spectrum of every frame, scaled by frequency (Olah, Mordvintsev & Schubert 2017).

    A step in these parameters equals a pixel step with its spectrum times the squared unit.

    Parameters
    ----------
    shape : (height, width)
    exponent : float
        Coefficients have units of ``1 / f**exponent``.
    spacing : pair of float
        As in `meiflow.stimuli.preconditioning.frequencies`.
    """

    shape: tuple[int, int]
    exponent: float = 1.0
    spacing: tuple[float, float] = (1.0, 1.0)

    @property
    def _unit(self) -> Tensor:
        unit = falling(self.shape, self.exponent, self.spacing)
        unit[:, 1 : (self.shape[1] + 1) // 2] *= 0.5**0.5  # these columns represent two
        return unit

    def encode(self, stimuli: Tensor) -> Tensor:
        """Real and imaginary parts (..., height, width // 2 + 1, 2)."""
        if tuple(stimuli.shape[-2:]) != tuple(self.shape):
            got = tuple(stimuli.shape[-2:])
            raise ValueError(
                f"frames have {got} pixels; the parameterisation expects {tuple(self.shape)}"
            )
        spectrum = torch.fft.rfft2(stimuli, norm="ortho") / self._unit.to(stimuli)
        return torch.view_as_real(spectrum)

    def decode(self, parameters: Tensor) -> Tensor:
        """Stimuli (..., height, width)."""
        spectrum = torch.view_as_complex(parameters) * self._unit.to(parameters)
        return torch.fft.irfft2(spectrum, s=self.shape, norm="ortho")
