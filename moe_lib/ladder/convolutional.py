"""Convolutions, for managers that see shapes and decoders that draw strokes. Chapter 8."""

from collections.abc import Sequence

from torch import Tensor, nn

from moe_lib.experts import VAEExperts
from moe_lib.layers import (
    Activation,
    Configured,
    ExpertLinear,
    make_activation,
    require_matrix,
    require_positive,
)  # fmt: skip


class ConvManager(Configured, nn.Module):
    r"""A small convolutional network from an image to one logit an expert.

    Two convolutions 5×5 of stride 2, then two linear layers, with batch normalisation and ReLU between them (Ioffe and
    Szegedy 2015, arXiv:1502.03167). In training an image's logits so depend on its batch; after `eval()`, as `fit`
    leaves it, they do not. Where several processes train together, each normalises over its own part of the batch.
    Explained in chapter 8.

    Args:
        num_experts: E.
        channels: of the two convolutions.
        hidden: units of the hidden linear layer.

    Shape:
        in: images of 28 × 28 pixels (B, 784); out: logits (B, E).
    """

    def __init__(self, num_experts: int, channels: tuple[int, int] = (32, 64), hidden: int = 128) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.in_features, self.num_experts, self.channels, self.hidden = 784, num_experts, channels, hidden
        first, second = channels
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, first, kernel_size=5, stride=2, padding=2),  # (B, C1, 14, 14)
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, kernel_size=5, stride=2, padding=2),  # (B, C2, 7, 7)
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(49 * second, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_experts),
        )

    def forward(self, x: Tensor) -> Tensor:
        require_matrix("x", x, self.in_features)
        if self.training and len(x) == 1:
            raise ValueError("ConvManager normalises over the batch: train it on at least 2 examples at a time")
        return self.layers(x)  # (B, E)


class ConvVAEExperts(VAEExperts):
    r"""`VAEExperts` with decoders Z → C · 7 · 7 → C' · 14 · 14 → 28 · 28, two transposed convolutions of 4 x 4 pixels.

    Each expert draws with the same few strokes wherever they are, with a ninth of the weights that a decoder of
    `VAEExperts` has. All experts together are one grouped convolution.

    Args:
        num_experts: E.
        hidden: hidden layers of the encoder.
        latent: Z.
        decoder_std: σ.
        activation: between the layers.
        channels: C and C' of each expert's decoder.

    Raises:
        ValueError: if a size is not positive.
    """

    def __init__(
        self,
        num_experts: int,
        hidden: Sequence[int] = (128,),
        latent: int = 10,
        decoder_std: float = 0.5,
        activation: Activation = "relu",
        channels: tuple[int, int] = (16, 8),
    ) -> None:
        super().__init__(num_experts, 784, hidden, latent, decoder_std, activation)
        self.channels = channels
        self.decoder = _ConvDecoder(num_experts, latent, channels, activation)


class _ConvDecoder(nn.Module):
    """E decoders from z to logits of 28 x 28 pixels: (B, Z) or (E, B, Z) → (E, B, 784)."""

    def __init__(self, num_experts: int, latent: int, channels: tuple[int, int], activation: Activation) -> None:
        super().__init__()
        first, second = channels
        for name, value in (("channels[0]", first), ("channels[1]", second)):
            require_positive(name, value)
        self.num_experts, self.channels = num_experts, channels
        self.start = ExpertLinear(num_experts, latent, 49 * first)
        twice = {"kernel_size": 4, "stride": 2, "padding": 1, "groups": num_experts}  # doubles the side
        self.draw = nn.Sequential(
            make_activation(activation),
            nn.ConvTranspose2d(num_experts * first, num_experts * second, **twice),  # (B, E C', 14, 14)
            make_activation(activation),
            nn.ConvTranspose2d(num_experts * second, num_experts, **twice),  # (B, E, 28, 28)
        )

    def forward(self, z: Tensor) -> Tensor:
        planes = self.start(z).unflatten(2, (-1, 7, 7)).transpose(0, 1).flatten(1, 2)  # (B, E C, 7, 7)
        return self.draw(planes).flatten(2).transpose(0, 1)  # (E, B, 784)
