"""Experts: a batch in, a loss per example and expert out. That is all a mixture needs to know of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from moe_lib.layers import Activation, expert_mlp, require_index, require_matrix, require_positive


class Objective(NamedTuple):
    """What training minimises, in its named parts: scalars, means over the batch."""

    expected: Tensor
    """Σ_i p_i(x) loss_i(x, y), the loss expected of the expert that the manager draws."""
    balancing: Tensor
    """The balancing term; zero where there is none."""

    @property
    def total(self) -> Tensor:
        return self.expected + self.balancing


class Experts(nn.Module, ABC):
    """E models that are trained side by side and computed as one batched product.

    On their own (no manager) all of them learn from every example alike; `MixtureOfExperts` gives them a manager.
    """

    num_experts: int
    in_features: int
    out_features: int

    @abstractmethod
    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None, counts: Sequence[int] | None = None) -> Tensor:
        """Loss of each expert on each example: x (B, D), y (B, D_out) → (B, E).

        With (B, E, D) and (B, E, D_out) each expert has examples of its own. With `counts` the rows of x (N, D) and
        y (N, D_out) belong to one expert each, expert by expert, → (N,).
        The noise is drawn here if it is not given: (B, E, Z), or (N, Z) with `counts`.
        """

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """All that `losses` draws at random for n examples, (n, E, Z); Z is 0 where nothing is random.

        Drawn beforehand, it makes the losses a function of what they are given: a run can be repeated, a step
        compiled, and a batch shared out among processes.
        """
        return torch.empty(n, self.num_experts, 0, device=next(self.parameters()).device)

    def balancing(self, x: Tensor, reach: Tensor) -> Tensor:
        """What experts that are mixtures ask of their own managers, a scalar; others ask for nothing.

        Args:
            x: (B, D), or (B, E, D), examples of its own for each expert.
            reach: how much of each example reaches each expert, (B, E).
        """
        return reach.new_zeros(())

    def descend(self, x: Tensor, expert: Tensor) -> Tensor:
        """From the expert of each example, int64 (B,), to the path that ends at a single model; here it ends."""
        return expert

    def objective(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        """Mean of the losses over batch and experts, as if an E-th of every example reached each of them."""
        losses = self.losses(x, y, noise)  # (B, E)
        return Objective(losses.mean(), self.balancing(x, torch.full_like(losses, 1 / self.num_experts)))

    def forward(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        return self.objective(x, y, noise)

    def check(self, x: Tensor, y: Tensor) -> None:
        """Looks once at a whole data set before training on it.

        Raises:
            TypeError: if x or y is no float32 tensor.
            ValueError: if a shape is wrong, the lengths differ, or a value is NaN or infinite.
        """
        require_matrix("x", self._rows(x), self.in_features)
        require_matrix("y", self._rows(y), self.out_features)
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"x has {len(x)} examples and y has {len(y)}; they must be pairs, at least one")
        for name, values in (("x", x), ("y", y)):
            low, high = values.aminmax()  # a NaN is both; no copy of the data is made
            if not (low.isfinite() and high.isfinite()):
                bad = (~values.isfinite()).flatten(1).any(dim=1).nonzero().flatten()
                raise ValueError(f"{name} has NaN or infinite values in {len(bad)} rows, the first is row {bad[0]}")

    def _rows(self, x: Tensor) -> Tensor:
        """Examples one a row, whether shared or one for each expert."""
        return x.flatten(0, 1) if isinstance(x, Tensor) and x.shape[1:-1] == (self.num_experts,) else x


class RegressionExperts(Experts):
    r"""E regressions y_i(x) with squared error  loss_i(x, y) = Σ_d (y_d - y_id(x))².

    With the default each expert is a parabola: y_i = b_i + w_i1 x + w_i2 x². With `hidden` layers it is a network.
    Explained in chapter 2. Reduction: sum over output features, none over examples.

    Args:
        num_experts: E.
        in_features: D, size of x.
        out_features: size of y.
        degree: the inputs are x, x², …, x^degree.
        hidden: sizes of the hidden layers of each expert.
        activation: between the layers.
    """

    def __init__(
        self,
        num_experts: int,
        in_features: int = 1,
        out_features: int = 1,
        degree: int = 2,
        hidden: Sequence[int] = (),
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        require_positive("degree", degree)
        self.num_experts, self.in_features, self.out_features = num_experts, in_features, out_features
        self.degree = degree
        self.layers = expert_mlp(num_experts, [in_features * degree, *hidden, out_features], activation)

    def extra_repr(self) -> str:
        return f"degree={self.degree}"

    def predict(self, x: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Every expert's output: x (B, D) or (B, E, D) → (B, E, D_out); with `counts` (N, D) → (N, D_out)."""
        require_matrix("x", self._rows(x), self.in_features)
        powers = torch.cat([x**k for k in range(1, self.degree + 1)], dim=-1)  # (B, D * degree) or (B, E, D * degree)
        return _swap(self.layers(_swap(powers), counts))  # (B, E, D_out) or (N, D_out)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None, counts: Sequence[int] | None = None) -> Tensor:
        target = y.unsqueeze(1) if y.dim() == 2 and counts is None else y  # (B, 1, D_out), (B, E, D_out) or (N, D_out)
        return (target - self.predict(x, counts)).square().sum(dim=-1)  # (B, E) or (N,)


class ELBO(NamedTuple):
    """The two parts of a VAE's negative ELBO, in nats per image: (B, E) each."""

    reconstruction: Tensor
    """-ln p(x | z) for one drawn z, the Gaussian's constant included."""
    kl: Tensor
    """KL( q(z | x) ‖ N(0, I) ), exact."""


class VAEExperts(Experts):
    r"""E variational autoencoders with  loss_i(x) = -ELBO_i(x), in nats per image.

    encoder   q_i(z | x) = N(m, diag v),  (m, s) = enc_i(x),  v = 1e-5 + exp(s)
    decoder   p_i(x | z) = N(μ, σ² I),  μ = sigmoid(dec_i(z)),  σ = decoder_std
    -ELBO_i   Σ_d [ (x_d - μ_d)² / 2σ² + ln σ + ½ ln 2π ] + ½ Σ_k ( v_k + m_k² - 1 - ln v_k )
    with      z = m + √v ε,  ε ~ N(0, I),  drawn once

    Reduction: sum over pixels and latents, none over images. At D = 784 and σ = 0.5 the Gaussian constant
    D (ln σ + ½ ln 2π) alone is 177.02 nats. The settings are those of Zeldes' post; Kingma and Welling 2014
    (arXiv:1312.6114, eq. 10) give the estimator. Explained in chapter 1.

    Images come as (B, D), each seen by every expert, or as (B, E, D), one for each expert: so ten VAEs with ten data
    sets of their own train in one product too.

    Args:
        num_experts: E.
        in_features: D, pixels of an image, each in [0, 1].
        hidden: hidden layers of the encoder; the decoder has them in reverse.
        latent: Z, size of the latent z.
        decoder_std: σ. The smaller, the more a wrong pixel costs against the KL.
        activation: between the layers.
    """

    def __init__(
        self,
        num_experts: int,
        in_features: int = 784,
        hidden: Sequence[int] = (128,),
        latent: int = 10,
        decoder_std: float = 0.5,
        activation: Activation = "sigmoid",
    ) -> None:
        super().__init__()
        require_positive("decoder_std", decoder_std)
        require_positive("latent", latent)
        self.num_experts, self.in_features, self.out_features = num_experts, in_features, in_features
        self.latent, self.decoder_std = latent, decoder_std
        self.encoder = expert_mlp(num_experts, [in_features, *hidden, 2 * latent], activation)
        self.decoder = expert_mlp(num_experts, [latent, *reversed(hidden), in_features], activation)

    @property
    def constant(self) -> float:
        """D (ln σ + ½ ln 2π), the part of -ELBO in nats per image that no training can change."""
        return self.in_features * (math.log(self.decoder_std) + 0.5 * math.log(2 * math.pi))

    def extra_repr(self) -> str:
        return f"latent={self.latent}, decoder_std={self.decoder_std}"

    def encode(self, x: Tensor, counts: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of q_i(z | x): x (B, D) or (B, E, D) → (E, B, Z) each; with `counts` (N, D) → (N, Z)."""
        require_matrix("x", self._rows(x), self.in_features)
        mean, log_variance = self.encoder(_swap(x), counts).float().chunk(2, dim=-1)  # (E, B, Z) or (N, Z) each
        return mean, 1e-5 + log_variance.exp()

    def decode(self, z: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Mean image of each expert in [0, 1]: z (B, Z), the same for all, or (E, B, Z) → (E, B, D).

        With `counts` (N, Z) → (N, D).
        """
        return self.decoder(z, counts).float().sigmoid()

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """ε ~ N(0, 1) for n images, (n, E, Z)."""
        device = next(self.parameters()).device
        return torch.randn(self.num_experts, n, self.latent, generator=generator, device=device).transpose(0, 1)

    def elbo(
        self,
        x: Tensor,
        target: Tensor | None = None,
        noise: Tensor | None = None,
        counts: Sequence[int] | None = None,
    ) -> ELBO:
        """Both parts of -ELBO for one drawn z: x (B, D) or (B, E, D) → (B, E) each; with `counts` (N, D) → (N,).

        Args:
            x: what the encoder sees.
            target: what the decoder should draw; x unless given.
            noise: ε (B, E, Z), or (N, Z) with `counts`; drawn here unless given.
            counts: how many rows of x belong to each expert, if they are sorted by expert.

        Raises:
            ValueError: if the noise has another shape.
        """
        expected = (len(x), self.num_experts, self.latent) if counts is None else (len(x), self.latent)
        if noise is None:
            noise = self.noise(len(x)) if counts is None else torch.randn(expected, device=x.device)
        if noise.shape != expected:
            raise ValueError(f"noise has shape {tuple(noise.shape)}; expected {expected}, see noise()")
        mean, variance = self.encode(x, counts)  # (E, B, Z) or (N, Z)
        image = self.decode(mean + variance.sqrt() * _swap(noise), counts)  # (E, B, D) or (N, D)
        squared_error = (_swap(x if target is None else target) - image).square().sum(dim=-1)  # (E, B) or (N,)
        reconstruction = squared_error / (2 * self.decoder_std**2) + self.constant
        kl = 0.5 * (variance + mean.square() - 1 - variance.log()).sum(dim=-1)  # (E, B) or (N,)
        return ELBO(reconstruction, kl) if counts is not None else ELBO(reconstruction.T, kl.T)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None, counts: Sequence[int] | None = None) -> Tensor:
        reconstruction, kl = self.elbo(x, y, noise, counts)
        return reconstruction + kl  # (B, E) or (N,)

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Each expert's mean image at the mean of its q(z | x), nothing drawn: x (B, D) or (B, E, D) → (B, E, D)."""
        return self.decode(self.encode(x)[0]).transpose(0, 1)

    @torch.no_grad()
    def generate(self, expert: int, n: int, seed: int) -> Tensor:
        """n mean images μ(z) of one expert for z ~ N(0, I): (n, D) on the CPU, the same for the same seed anywhere.

        Raises:
            IndexError: if there is no such expert.
        """
        require_index("expert", expert, self.num_experts)
        z = torch.randn(n, self.latent, generator=torch.Generator().manual_seed(seed))
        return self.decode(z.to(next(self.parameters()).device))[expert].cpu()

    def check(self, x: Tensor, y: Tensor) -> None:
        """As `Experts.check`, and pixels must lie in [0, 1].

        Raises:
            ValueError: if a pixel lies outside, say because images still count from 0 to 255.
        """
        super().check(x, y)
        for name, images in (("x", x), ("y", y)):
            if images.min() < 0 or images.max() > 1:
                raise ValueError(
                    f"pixels of {name} run from {images.min():.4g} to {images.max():.4g}; expected [0, 1]. "
                    f"Divide 8-bit images by 255"
                )


def _swap(x: Tensor) -> Tensor:
    return x.transpose(0, 1) if x.dim() == 3 else x  # (B, E, D) → (E, B, D) and back; (B, D) as it is
