"""The mixture of experts: one objective, whatever the experts are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from moe_lib.balance import Balance, ImportanceVariance
from moe_lib.experts import Objective, VAEExperts
from moe_lib.layers import Configured, require_float32
from moe_lib.manager import Manager


class AnyManager(Protocol):
    """What a mixture needs of its manager: `Manager` is one, and so is any module of yours that has this."""

    num_experts: int
    in_features: int | None  # D, or None where any size will do

    def __call__(self, x: Tensor) -> Tensor: ...  # (B, D) → logits (B, E)


class AnyExperts(Protocol):
    """What a mixture needs of its experts. Those that draw have `generate`, regressions `predict`, VAEs `elbo`."""

    num_experts: int
    in_features: int
    out_features: int

    def losses(self, x: Tensor, y: Tensor, noise: Any = None) -> Tensor: ...  # (B, D), (B, D_out) → (B, E)
    def noise(self, n: int, generator: torch.Generator | None = None) -> Any: ...  # all that `losses` draws at random
    def check(self, x: Tensor, y: Tensor | None = None) -> None: ...  # raises on data that they cannot learn from


class Trainable(Protocol):
    """What `fit` can train: `MixtureOfExperts`, `Experts` alone, or any module of yours that has this."""

    def __call__(self, x: Tensor, y: Tensor, noise: Any) -> Objective: ...  # y: whatever this model compares x with
    def noise(self, n: int, generator: torch.Generator | None = None) -> Any: ...  # a tensor (n, ...) or several
    def check(self, x: Tensor, y: Tensor | None = None) -> None: ...  # raises on data that it cannot learn from


class MixtureOfExperts(Configured, nn.Module):
    r"""A manager that shares examples out among experts.

    total = mean_b Σ_i p_i(x_b) loss_i(x_b, y_b)  +  balance(p),     p = softmax(manager(x))

    With y a number and squared errors this is the regression of chapter 2; with y = x and the negative ELBO of ten
    VAEs the MoE-VAE of chapter 5. Each expert's loss is weighted, never its output: that is why experts specialise
    (Jacobs et al. 1991, eq. 1.2).

    Its parts are what `AnyManager` and `AnyExperts` say, and a term of `moe_lib.balance`, or None. What only looks at a
    model (`assign`, `expert_losses`, `evaluate`, …) changes nothing: it does so in evaluation mode, as `fit` leaves it.
    """

    def __init__(self, manager: AnyManager, experts: AnyExperts, balance: Balance | None = None) -> None:
        super().__init__()
        for name, part, more in (("manager", manager, ""), ("experts", experts, "out_features losses noise check")):
            needs = f"num_experts in_features {more} named_parameters".split()
            if lacks := ", ".join(need for need in needs if not hasattr(part, need)):
                raise TypeError(f"{name} is {part!r}; it lacks {lacks} of an nn.Module that is Any{name.capitalize()}")
        if balance is not None and (isinstance(balance, type) or not callable(balance)):
            raise TypeError(f"balance is {balance!r}; give a term, for instance ImportanceVariance(weight=0.1)")
        if manager.num_experts != experts.num_experts:
            raise ValueError(f"the manager chooses among {manager.num_experts} experts, of {experts.num_experts}")
        if manager.in_features not in (None, experts.in_features):
            raise ValueError(f"the manager takes {manager.in_features} features, the experts {experts.in_features}")
        self.manager, self.experts, self.balance = manager, experts, balance
        self.num_experts = experts.num_experts

    def gate(self, x: Tensor) -> Tensor:
        """Gate probabilities p (B, E); each row sums to one. The manager computes in the mode that it is in."""
        return self.manager(x).float().softmax(dim=1)

    def noise(self, n: int, generator: torch.Generator | None = None) -> Any:
        """All that the objective of n examples draws at random."""
        return self.experts.noise(n, generator)

    def objective(self, x: Tensor, y: Tensor, noise: Any = None) -> Objective:
        """The two parts of the loss of a batch x (B, D), y (B, D_out); the noise is drawn unless given."""
        p = self.gate(x)  # (B, E)
        noise = self.noise(len(x)) if noise is None else noise
        return Objective(self.expected_loss(p, x, y, noise), self.balancing(x, p))

    def forward(self, x: Tensor, y: Tensor, noise: Any = None) -> Objective:
        return self.objective(x, y, noise)

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, noise: Any) -> Tensor:
        """mean_b Σ_i p_i loss_i, a scalar."""
        return (p * self.experts.losses(x, y, noise)).sum(dim=1).mean()

    def balancing(self, x: Tensor, p: Tensor) -> Tensor:
        """The balancing term, a scalar; zero where there is none."""
        return self.balance(self.pooled(p)) if self.balance else p.new_zeros(())

    def pooled(self, p: Tensor) -> Tensor:
        """p of the whole batch: p itself, unless `shared_step` has put in its place what several processes exchange."""
        return p

    def assign(self, x: Tensor) -> Tensor:
        """The most probable expert of each example, int64 (B,); a thousand examples are computed at a time."""
        self.check(x)
        with looking(self) as device:
            return torch.cat([self.gate(part.to(device)).argmax(dim=1) for part in x.split(1000)]).to(x.device)

    def expert_losses(self, x: Tensor, y: Tensor, noise: Any = None) -> Tensor:
        """Loss of each expert on each example (B, E), for looking at: without gradients."""
        self.check(x, y)
        with looking(self) as device:
            return self.experts.losses(x.to(device), y.to(device), noise)

    def generate(self, expert: int, n: int, seed: int) -> Tensor:
        """n images drawn by one expert: (n, D) on the CPU; TypeError if such experts cannot draw."""
        if not hasattr(self.experts, "generate"):
            raise TypeError(f"{type(self.experts).__name__} predict y from x and draw nothing; see experts.predict")
        with looking(self):
            return self.experts.generate(expert, n, seed)

    def check(self, x: Tensor, y: Tensor | None = None) -> None:
        """TypeError or ValueError on data that the model cannot learn from; see `Experts.check`."""
        require_float32(self)
        self.experts.check(x, y)


class CooperatingExperts(MixtureOfExperts):
    r"""The same parts with the loss of the weighted average of outputs:  mean_b ‖ y_b - Σ_i p_i(x_b) y_i(x_b) ‖².

    Now every expert is corrected for the error that all of them make together, so they lean on one another instead of
    specialising. Chapter 2 compares both (Jacobs et al. 1991, eq. 1.1). TypeError unless the experts have outputs.
    """

    def __init__(self, manager: AnyManager, experts: AnyExperts, balance: Balance | None = None) -> None:
        super().__init__(manager, experts, balance)
        if not hasattr(experts, "predict"):
            raise TypeError(f"{type(experts).__name__} have no predict: only regressions can average their outputs")

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, noise: Any) -> Tensor:
        average = (p.unsqueeze(2) * self.experts.predict(x)).sum(dim=1)  # (B, D_out)
        return (y - average).square().sum(dim=1).mean()


def moe_vae(
    num_experts: int = 10, balance: Balance | None = None, latent: int = 10, decoder_std: float = 0.5
) -> MixtureOfExperts:
    """The mixture of VAEs of Zeldes' post, with its balancing term unless another is given. Chapter 5."""
    return MixtureOfExperts(
        manager=Manager(in_features=784, hidden=(128,), num_experts=num_experts),
        experts=VAEExperts(num_experts, in_features=784, hidden=(128,), latent=latent, decoder_std=decoder_std),
        balance=balance or ImportanceVariance(weight=0.1),
    )


@contextmanager
def looking(model: nn.Module) -> Iterator[torch.device]:
    """Evaluation mode without gradients, on the model's own device; afterwards every part is in the mode it had."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield next((p.device for p in model.parameters()), torch.device("cpu"))
    finally:
        for part, mode in modes:
            part.training = mode
