"""Convolutional cores, which map images to feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, elu, pad

from meiflow.config.sections import Network
from meiflow.models.trainable import Core

_LAPLACIAN = ((0.0, -1.0, 0.0), (-1.0, 4.0, -1.0), (0.0, -1.0, 0.0))


class StackedCore(Core):
    """Blocks of convolution, batch normalisation and ELU whose outputs are concatenated.

    The first block is followed by average pooling over two pixels. The regulariser is that of
    Klindt et al. (2017): Laplacian of the kernels in the first layer and group sparsity of the
    others.

    Parameters
    ----------
    channels, layers : int
    input_kernel, hidden_kernel : int
        Kernel sizes in pixels.
    even_kernels : {'after', 'before'}
        Side on which even kernels extend one pixel further: right and down, or left and up.
    laplace, group_sparsity : float
        Weights of the two terms of `regulariser`.
    """

    laplacian: Tensor

    def __init__(
        self,
        channels: int = 64,
        layers: int = 3,
        input_kernel: int = 4,
        hidden_kernel: int = 3,
        laplace: float = 0.1,
        group_sparsity: float = 0.1,
        even_kernels: str = "after",
    ) -> None:
        super().__init__()
        self.laplace, self.group_sparsity = laplace, group_sparsity
        kernels = [input_kernel] + [hidden_kernel] * (layers - 1)
        reach = [(k - 1) // 2 if even_kernels == "after" else k // 2 for k in kernels]
        self.margins = [(r, k - 1 - r, r, k - 1 - r) for r, k in zip(reach, kernels, strict=True)]
        self.out_channels = channels * layers
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                1 if i == 0 else channels,
                channels,
                kernel,
                bias=False,
            )
            for i, kernel in enumerate(kernels)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(layers))
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        for convolution in self.convolutions:
            nn.init.xavier_normal_(convolution.weight)  # type: ignore[arg-type]
        self.register_buffer("laplacian", torch.tensor(_LAPLACIAN)[None, None], persistent=False)

    @classmethod
    def from_config(cls, network: Network) -> StackedCore:
        """Build the core described by the section ``model.network``."""
        return cls(
            network.channels,
            network.layers,
            network.input_kernel,
            network.hidden_kernel,
            network.laplace,
            network.group_sparsity,
            network.even_kernels,
        )

    @property
    def offset(self) -> float:
        """Shift of the feature maps to the right and down, in pixels of the image.

        Half a pixel in either direction for an even first kernel; even kernels in later blocks are
        ignored.
        """
        before, after = self.margins[0][:2]
        return (after - before) / 2

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps (batch, channels x layers, height / 2, width / 2) of (batch, 1, h, w)."""
        outputs = []
        x = images
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = pad(x, self.margins[i])
            x = elu(norm(convolution(x)))
            x = self.pool(x) if i == 0 else x
            outputs.append(x)
        return torch.cat(outputs, 1)

    def regulariser(self) -> Tensor:
        """Penalty added to the loss."""
        first, *others = (convolution.weight for convolution in self.convolutions)
        smooth = (conv2d(first, self.laplacian, padding=1) ** 2).mean() / 2  # type: ignore[arg-type]
        total = self.laplace * smooth
        if others:
            norms = [(w**2).sum((2, 3)).clamp(min=1e-12).sqrt().mean() for w in others]  # type: ignore[operator]
            total = total + self.group_sparsity * torch.stack(norms).mean()
        return total
