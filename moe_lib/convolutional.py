"""VAE experts whose decoders are convolutions: fewer weights, and strokes instead of pixels. Chapter 8."""

from collections.abc import Sequence

from torch import Tensor, nn

from moe_lib.experts import VAEExperts
from moe_lib.layers import Activation, ExpertLinear, make_activation, require_positive


class ConvVAEExperts(VAEExperts):
    r"""`VAEExperts` with decoders Z → C · 7 · 7 → C' · 14 · 14 → 28 · 28, two transposed convolutions of 4 x 4 pixels.

    Each expert draws with the same few strokes wherever they stand, with a ninth of the weights that a decoder of
    `VAEExperts` has. All experts together are one grouped convolution, so every expert draws for every image: no
    `counts`, and no top_k.

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

    def forward(self, z: Tensor, counts: None = None) -> Tensor:
        if counts is not None:
            raise ValueError("convolutional experts all draw every image: leave top_k out")
        planes = self.start(z).unflatten(2, (-1, 7, 7)).transpose(0, 1).flatten(1, 2)  # (B, E C, 7, 7)
        return self.draw(planes).flatten(2).transpose(0, 1)  # (E, B, 784)
