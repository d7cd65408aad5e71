"""What training needs to know of a network."""

from __future__ import annotations

from torch import Tensor, nn


class Core(nn.Module):
    """Feature maps shared by neurons."""

    def regulariser(self) -> Tensor | float:
        """Penalty added to the loss."""
        return 0.0


class Trainable(nn.Module):
    """A network whose output is the expected counts (batch, neurons).

    Attributes
    ----------
    core : Core
    readout : Module
    mean : Tensor, shape (neurons,)
        Mean training counts.
    linear : bool
        Whether the output may be negative, so that the squared error replaces the Poisson loss.
    """

    core: Core
    readout: nn.Module
    mean: Tensor
    linear: bool

    @property
    def unit(self) -> Tensor:
        """Unit of the loss of each neuron: its mean count."""
        return self.mean
