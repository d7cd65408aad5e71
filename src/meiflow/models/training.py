"""Train networks by gradient descent, with early stopping on held-out images.

The loss is Poisson, or the squared error if the output is linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.config.model import Training
from meiflow.errors import MeiflowError
from meiflow.models.adam import Adam, Group
from meiflow.models.device import chosen_device
from meiflow.models.trainable import Trainable
from meiflow.progress import logger

_TINY = 1e-4
_LEAST = 0.05
_LOG_EVERY = 10


@dataclass(frozen=True)
class TrainingTrace:
    """Course of training.

    Parameters
    ----------
    loss : ndarray, shape (epochs,)
        Poisson loss on the training images, per trial and neuron, in units of the mean count; for
        networks with linear output the squared error.
    correlation : ndarray, shape (epochs,)
        Correlation for the images held out for early stopping, mean over neurons.
    best : int
        Epoch whose weights are kept.
    """

    loss: NDArray[np.float64]
    correlation: NDArray[np.float64]
    best: int


def poisson_loss(rate: Tensor, response: Tensor, weight: Tensor, mean: Tensor) -> Tensor:
    """Poisson loss per trial and neuron, in units of each neuron's mean count.

    Parameters
    ----------
    rate, response : Tensor, shape (images, neurons)
        Expected and mean counts.
    weight : Tensor, shape (images,)
        Number of trials of each image divided by the mean number.
    mean : Tensor, shape (neurons,)
        Mean training counts, with a minimum of `_LEAST` for neurons that hardly fire.

    Returns
    -------
    Tensor
        Scalar, which depends neither on the batch size nor on the number of neurons.
    """
    loss = (rate - response * (rate + _TINY).log()) / mean.clamp(min=_LEAST)
    return (weight[:, None] * loss).mean(1).sum() / weight.sum()


def squared_error(rate: Tensor, response: Tensor, weight: Tensor, mean: Tensor) -> Tensor:
    """Half the squared error in units of each neuron's mean count, for rates of any sign.

    Parameters as for `poisson_loss`; the curvature at the mean count is the same. For real-valued
    responses, `mean` is their standard deviation over images.
    """
    loss = ((rate - response) / mean.clamp(min=_LEAST)) ** 2 / 2
    return (weight[:, None] * loss).mean(1).sum() / weight.sum()


def correlation(rate: Tensor, response: Tensor) -> float:
    """Pearson correlation over images, mean over the neurons for which it is defined."""
    a, b = rate - rate.mean(0), response - response.mean(0)
    norm = ((a**2).sum(0) * (b**2).sum(0)).sqrt()
    defined = norm > 1e-9
    if not bool(defined.any()):
        return 0.0
    return float(((a * b).sum(0)[defined] / norm[defined]).mean())


def train(
    network: Trainable,
    contrast: Tensor,
    responses: Tensor,
    weights: Tensor,
    stopping: Tensor,
    config: Training,
    seed: int,
    core_rate: float = 1.0,
    label: str | None = "training",
    slow_down: bool = True,
) -> TrainingTrace:
    """Train a network in place, and restore its best epoch.

    This is done on the chosen device; the network ends on the CPU.

    Parameters
    ----------
    contrast : Tensor, shape (images, ...)
        Input for the training images: contrast (luminance minus grey), or channels.
    responses : Tensor, shape (images, neurons)
        Mean counts.
    weights : Tensor, shape (images,)
    stopping : Tensor of bool, shape (images,)
        Images used for early stopping but not for fitting.
    seed : int
        Seed for the order of the images.
    core_rate : float
        Learning rate of the core, relative to that of the readout; 0 keeps the core fixed.
    label : str, optional
        Name in progress messages; None for no messages.
    slow_down : bool
        Whether to continue once from the best epoch with a fifth of the learning rate.
    """
    on = chosen_device()
    network.to(on)
    contrast, responses, weights = (t.to(on) for t in (contrast, responses, weights))
    order_of = torch.Generator().manual_seed(seed)
    rate = config.learning_rate
    groups = [Group([p for p in network.readout.parameters() if p.requires_grad], rate)]
    if core_rate > 0:
        groups.append(Group(list(network.core.parameters()), core_rate * rate))
    optimiser = Adam(groups, config.weight_decay)
    for p in network.core.parameters():
        p.requires_grad_(core_rate > 0)
    learn = torch.nonzero(~stopping)[:, 0]
    if len(learn) < 2:
        raise MeiflowError(
            f"a network cannot be trained on {len(learn)} image(s); remove scratch, shared and "
            "pretrained from model.base_models, or provide more images"
        )
    losses, correlations = [], []
    best, best_epoch, best_state, waited = -np.inf, 0, None, 0
    for epoch in range(config.epochs):
        order = learn[torch.randperm(len(learn), generator=order_of)]
        # a last batch with a single image would have no variance for normalisation
        batches = [b for b in order.split(config.batch) if len(b) > 1]
        losses.append(_epoch(network, contrast, responses, weights, batches, optimiser, core_rate))
        network.eval()
        with torch.no_grad():
            value = correlation(network(contrast[stopping]), responses[stopping])
        correlations.append(value)
        if value > best + 1e-4:
            best, best_epoch, waited = value, epoch, 0
            best_state = {k: v.detach().clone() for k, v in network.state_dict().items()}
        else:
            waited += 1
        if label is not None and (epoch + 1) % _LOG_EVERY == 0:
            logger.info(
                f"{label}: epoch {epoch + 1}, loss {losses[-1]:.4f}, correlation {value:.3f}"
            )
        if waited > config.patience:
            if not slow_down or optimiser.groups[0].rate < rate:
                break
            # continue once from the best epoch with smaller steps (Walker et al. 2019)
            for group in optimiser.groups:
                group.rate /= 5
            waited = 0
            if best_state is not None:
                network.load_state_dict(best_state)
    if best_state is not None:
        network.load_state_dict(best_state)
    network.eval().cpu()
    return TrainingTrace(np.array(losses), np.array(correlations), best_epoch)


def _epoch(
    network: Trainable,
    contrast: Tensor,
    responses: Tensor,
    weights: Tensor,
    batches: list[Tensor],
    optimiser: Adam,
    core_rate: float,
) -> float:
    """Train on every batch once; return the mean loss."""
    loss_of = squared_error if network.linear else poisson_loss
    network.train()
    if core_rate < 1:
        # keep the feature mean and spread of a pretrained core
        network.core.eval()
    total = 0.0
    # reused, because memory that is new to the process takes longer to fill than the copy
    room = contrast.new_empty(max(map(len, batches), default=0), *contrast.shape[1:])
    for batch in batches:
        optimiser.zero_grad()
        shown = torch.index_select(contrast, 0, batch.to(contrast.device), out=room[: len(batch)])
        loss = loss_of(network(shown), responses[batch], weights[batch], network.unit)
        penalty = network.core.regulariser() if core_rate > 0 else 0.0
        (loss + penalty).backward()
        optimiser.step()
        total += float(loss.detach()) * len(batch)
    return total / sum(len(batch) for batch in batches)
