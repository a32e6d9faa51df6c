"""The mixture of experts: one objective, whatever the experts are."""

import torch
from torch import Tensor, nn

from moe_lib.balance import Balance
from moe_lib.experts import Experts, Objective


class MixtureOfExperts(nn.Module):
    r"""A manager that shares examples out among experts.

    total = mean_b Σ_i p_i(x_b) loss_i(x_b, y_b)  +  balance(p),     p = softmax(manager(x))

    With y a number and squared errors this is the regression of chapter 2; with y = x and the negative ELBO of ten
    VAEs it is the MoE-VAE of chapter 5. Each expert's loss is weighted, never its output: that is why experts
    specialise (Jacobs et al. 1991, eq. 1.2; chapter 2 shows both).

    Args:
        manager: from x (B, D) to logits (B, E).
        experts: E models with a loss per example and expert.
        balance: a balancing term of `moe_lib.balance`, or None.

    Raises:
        ValueError: if manager and experts differ in the number of experts or the size of x.
    """

    def __init__(self, manager: nn.Module, experts: Experts, balance: Balance | None = None) -> None:
        super().__init__()
        if manager.num_experts != experts.num_experts:
            raise ValueError(
                f"the manager chooses among {manager.num_experts} experts; there are {experts.num_experts}"
            )
        if getattr(manager, "in_features", experts.in_features) != experts.in_features:
            raise ValueError(f"the manager takes {manager.in_features} features, the experts {experts.in_features}")
        self.manager, self.experts, self.balance = manager, experts, balance

    def extra_repr(self) -> str:
        return f"balance={self.balance}"

    @property
    def num_experts(self) -> int:
        return self.experts.num_experts

    def gate(self, x: Tensor) -> Tensor:
        """Gate probabilities p (B, E); each row sums to one."""
        return self.manager(x).float().softmax(dim=1)

    def objective(self, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Objective:
        """The two parts of the loss of a batch x (B, D), y (B, D_out)."""
        p = self.gate(x)  # (B, E)
        return Objective(
            expected=self.expected_loss(p, x, y, generator),
            balancing=self.balance(p) if self.balance else p.new_zeros(()),
        )

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """mean_b Σ_i p_i loss_i, a scalar."""
        return (p * self.experts.losses(x, y, generator)).sum(dim=1).mean()

    @torch.no_grad()
    def assign(self, x: Tensor) -> Tensor:
        """The most probable expert of each example, int64 (B,)."""
        return self.gate(x).argmax(dim=1)

    @torch.no_grad()
    def expert_losses(self, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Loss of each expert on each example (B, E), for looking at: without gradients."""
        return self.experts.losses(x, y, generator)

    def generate(self, expert: int, n: int, seed: int) -> Tensor:
        """n images drawn by one expert: (n, D)."""
        return self.experts.generate(expert, n, seed)

    def check(self, x: Tensor, y: Tensor) -> None:
        """Raises TypeError or ValueError on data that the experts cannot learn from; see `Experts.check`."""
        self.experts.check(x, y)


class CooperatingExperts(MixtureOfExperts):
    r"""The same parts with the loss of the blended output:  mean_b ‖ y_b - Σ_i p_i(x_b) y_i(x_b) ‖².

    Now every expert is corrected for the error that all of them make together, so they lean on one another instead of
    specialising. It stands here to be compared with, in chapter 2 (Jacobs et al. 1991, eq. 1.1). Regression only.
    """

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        blended = (p.unsqueeze(2) * self.experts.predict(x)).sum(dim=1)  # (B, D_out)
        return (y - blended).square().sum(dim=1).mean()
