"""Experts: a batch in, a loss per example and expert out. That is all a mixture needs to know of them."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from moe_lib.layers import (  # isort: skip
    Activation, Configured, expert_mlp, require_finite, require_float32, require_index, require_matrix, require_positive
)  # fmt: skip


class Objective(NamedTuple):
    """What training minimises, in its named parts: scalars, means over the batch."""

    expected: Tensor  # Σ_i p_i(x) loss_i(x, y), the loss expected of the expert that the manager draws
    balancing: Tensor  # the balancing term; zero where there is none

    @property
    def total(self) -> Tensor:
        return self.expected + self.balancing


class Experts(Configured, nn.Module, ABC):
    """E models that are trained side by side and computed as one batched product.

    On their own all of them learn from every example alike; `MixtureOfExperts` gives them a manager.
    """

    num_experts: int
    in_features: int
    out_features: int
    value_range = (-math.inf, math.inf)  # of x and y

    @abstractmethod
    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        """Loss of each expert on each example: x (B, D), y (B, D_out) → (B, E).

        With (B, E, D) and (B, E, D_out) each expert has other examples. The noise (B, E, Z) is drawn unless given.
        """

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """All that `losses` draws at random for n examples, (n, E, Z); Z is 0 where nothing is random.

        Drawn beforehand, it makes the losses a function: a run can be repeated, a step compiled, a batch shared out.
        """
        return torch.empty(n, self.num_experts, 0, device=next(self.parameters()).device)

    def objective(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        """Mean of the losses over batch and experts, as if an E-th of every example reached each of them."""
        expected = self.losses(x, y, noise).mean()
        return Objective(expected, torch.zeros_like(expected))

    def forward(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        return self.objective(x, y, noise)

    def check(self, x: Tensor, y: Tensor | None = None) -> None:
        """TypeError or ValueError unless x and y are float32, of the right shape, finite, in their range, and pairs."""
        require_float32(self)
        for name, values, columns in (("x", x, self.in_features), ("y", y, self.out_features)):
            if values is None:
                continue
            own = isinstance(values, Tensor) and values.dim() == 3 and values.shape[1] == self.num_experts
            require_matrix(name, values.flatten(0, 1) if own else values, columns)
            if len(values) != len(x) or len(values) == 0:
                raise ValueError(f"x has {len(x)} examples and {name} {len(values)}; they must be pairs, at least one")
            require_finite(name, values, *self.value_range)


class RegressionExperts(Experts):
    r"""E regressions y_i(x) with squared error  loss_i(x, y) = Σ_d (y_d - y_id(x))².

    With the default each expert is a parabola: y_i = b_i + w_i1 x + w_i2 x², since its inputs are x, …, x^degree. With
    `hidden` layers it is a network. Reduction: sum over output features, none over examples. Explained in chapter 2.
    """

    def __init__(
        self, num_experts: int, in_features: int = 1, out_features: int = 1, degree: int = 2,
        hidden: Sequence[int] = (), activation: Activation = "tanh",
    ) -> None:  # fmt: skip
        super().__init__()
        require_positive("degree", degree)
        self.num_experts, self.in_features, self.out_features = num_experts, in_features, out_features
        self.degree, self.hidden, self.activation = degree, hidden, activation
        self.layers = expert_mlp(num_experts, in_features * degree, hidden, out_features, activation)

    def predict(self, x: Tensor) -> Tensor:
        """Every expert's output: x (B, D) or (B, E, D) → (B, E, D_out)."""
        powers = torch.cat([x**k for k in range(1, self.degree + 1)], dim=-1)  # (B, D degree) or (B, E, D degree)
        return _swap(self.layers(_swap(powers)))  # (B, E, D_out)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        target = y.unsqueeze(1) if y.dim() == 2 else y  # (B, 1, D_out) or (B, E, D_out)
        return (target - self.predict(x)).square().sum(dim=-1)  # (B, E)


class ELBO(NamedTuple):
    """The two parts of a VAE's negative ELBO, in nats per image: (B, E) each."""

    reconstruction: Tensor  # -ln p(x | z) for one drawn z, the Gaussian's constant included
    kl: Tensor  # KL( q(z | x) ‖ N(0, I) ), exact


class VAEExperts(Experts):
    r"""E variational autoencoders with  loss_i(x) = -ELBO_i(x), in nats per image.

    encoder   q_i(z | x) = N(m, diag v),  (m, s) = enc_i(x),  v = 1e-5 + exp(s)
    decoder   p_i(x | z) = N(μ, σ² I),  μ = sigmoid(dec_i(z)),  σ = decoder_std
    -ELBO_i   Σ_d [ (x_d - μ_d)² / 2σ² + ln σ + ½ ln 2π ] + ½ Σ_k ( v_k + m_k² - 1 - ln v_k )
    with      z = m + √v ε,  ε ~ N(0, I),  drawn once

    Reduction: sum over pixels and latents, none over images. At D = 784 and σ = 0.5 the Gaussian constant
    D (ln σ + ½ ln 2π) alone is 177.02 nats; the smaller σ, the more a wrong pixel costs against the KL. Pixels are in
    [0, 1]. The decoder has the encoder's hidden layers in reverse. The settings are those of Zeldes' post; Kingma and
    Welling 2014 (arXiv:1312.6114, eq. 10) give the estimator. Explained in chapter 1.
    """

    value_range = (0.0, 1.0)

    def __init__(
        self, num_experts: int, in_features: int = 784, hidden: Sequence[int] = (128,), latent: int = 10,
        decoder_std: float = 0.5, activation: Activation = "sigmoid",
    ) -> None:  # fmt: skip
        super().__init__()
        require_positive("decoder_std", decoder_std)
        require_positive("latent", latent)
        self.num_experts, self.in_features, self.out_features = num_experts, in_features, in_features
        self.hidden, self.latent, self.decoder_std, self.activation = hidden, latent, decoder_std, activation
        self.encoder = expert_mlp(num_experts, in_features, hidden, 2 * latent, activation)
        self.decoder = expert_mlp(num_experts, latent, tuple(reversed(hidden)), in_features, activation)

    @property
    def constant(self) -> float:
        """D (ln σ + ½ ln 2π), the part of -ELBO in nats per image that no training can change."""
        return self.in_features * (math.log(self.decoder_std) + 0.5 * math.log(2 * math.pi))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of q_i(z | x): x (B, D) or (B, E, D) → (E, B, Z) each."""
        mean, log_variance = self.encoder(_swap(x)).float().chunk(2, dim=-1)  # (E, B, Z) each
        return mean, 1e-5 + log_variance.exp()

    def decode(self, z: Tensor) -> Tensor:
        """Mean image of each expert in [0, 1]: z (B, Z), the same for all, or (E, B, Z) → (E, B, D)."""
        return self.decoder(z).float().sigmoid()

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """ε ~ N(0, 1) for n images, (n, E, Z)."""
        device = next(self.parameters()).device
        return torch.randn(self.num_experts, n, self.latent, generator=generator, device=device).transpose(0, 1)

    def elbo(self, x: Tensor, target: Tensor | None = None, noise: Tensor | None = None) -> ELBO:
        """Both parts of -ELBO for one drawn z: x (B, D) or (B, E, D) → (B, E) each.

        The decoder should draw the target, x unless given; ε (B, E, Z) is drawn here unless given.
        """
        noise = self.noise(len(x)) if noise is None else noise
        if noise.shape != (expected := (len(x), self.num_experts, self.latent)):
            raise ValueError(f"noise has shape {tuple(noise.shape)}; expected {expected}, see noise()")
        mean, variance = self.encode(x)  # (E, B, Z) each
        image = self.decode(mean + variance.sqrt() * _swap(noise))  # (E, B, D)
        squared_error = (_swap(x if target is None else target) - image).square().sum(dim=-1)  # (E, B)
        reconstruction = squared_error / (2 * self.decoder_std**2) + self.constant
        kl = 0.5 * (variance + mean.square() - 1 - variance.log()).sum(dim=-1)  # (E, B)
        return ELBO(reconstruction.T, kl.T)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        reconstruction, kl = self.elbo(x, y, noise)
        return reconstruction + kl  # (B, E)

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Each expert's mean image at the mean of its q(z | x), nothing drawn: x (B, D) or (B, E, D) → (B, E, D)."""
        return self.decode(self.encode(x)[0]).transpose(0, 1)

    @torch.no_grad()
    def generate(self, expert: int, n: int, seed: int) -> Tensor:
        """n mean images μ(z) of one expert for z ~ N(0, I): (n, D) on the CPU, the same for the same seed anywhere."""
        require_index("expert", expert, self.num_experts)
        z = torch.randn(n, self.latent, generator=torch.Generator().manual_seed(operator.index(seed)))
        return self.decode(z.to(next(self.parameters()).device))[expert].cpu()


def _swap(x: Tensor) -> Tensor:
    return x.transpose(0, 1) if x.dim() == 3 else x  # (B, E, D) → (E, B, D) and back; (B, D) as it is
