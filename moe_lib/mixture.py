"""The mixture of experts: one objective, whatever the experts are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.balance import Balance
from moe_lib.experts import Experts, Objective
from moe_lib.layers import require_matrix
from moe_lib.processes import gather
from moe_lib.routing import dispatch


class MixtureOfExperts(nn.Module):
    r"""A manager that shares examples out among experts.

    total = mean_b Σ_i p_i(x_b) loss_i(x_b, y_b)  +  balance(p),     p = softmax(manager(x))

    With y a number and squared errors this is the regression of chapter 2; with y = x and the negative ELBO of ten
    VAEs it is the MoE-VAE of chapter 5. Each expert's loss is weighted, never its output: that is why experts
    specialise (Jacobs et al. 1991, eq. 1.2; chapter 2 shows both).

    Args:
        manager: from x (B, D) to logits (B, E).
        experts: E models with a loss per example and expert.
        balance: a balancing term of `moe_lib.balance`, or None. It sees all of p, top_k or not, and where several
            processes train together, the p of all of them.
        top_k: how many experts compute each example in training, at least 2: those with the largest p, whose p is then
            scaled to sum to one. None is all of them. Such a step cannot be compiled. Explained in chapter 6.

    Raises:
        ValueError: if manager and experts differ in the number of experts or the size of x, or top_k is out of range.
    """

    def __init__(
        self, manager: nn.Module, experts: Experts, balance: Balance | None = None, top_k: int | None = None
    ) -> None:
        super().__init__()
        if manager.num_experts != experts.num_experts:
            raise ValueError(
                f"the manager chooses among {manager.num_experts} experts; there are {experts.num_experts}"
            )
        if getattr(manager, "in_features", experts.in_features) != experts.in_features:
            raise ValueError(f"the manager takes {manager.in_features} features, the experts {experts.in_features}")
        if top_k is not None and not 2 <= top_k <= experts.num_experts:
            raise ValueError(
                f"top_k is {top_k}; choose 2 to {experts.num_experts} experts, or None for all. (With one alone its "
                f"scaled p is 1 whatever the manager says, and the manager learns nothing from the experts)"
            )
        self.manager, self.experts, self.balance, self.top_k = manager, experts, balance, top_k

    def extra_repr(self) -> str:
        return f"balance={self.balance}, top_k={self.top_k}"

    @property
    def num_experts(self) -> int:
        return self.experts.num_experts

    def gate(self, x: Tensor) -> Tensor:
        """Gate probabilities p (B, E); each row sums to one."""
        return self.manager(x).float().softmax(dim=1)

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """All that the objective of n examples draws at random, (n, ...); see `Experts.noise`."""
        return self.experts.noise(n, generator)

    def objective(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        """The two parts of the loss of a batch x (B, D), y (B, D_out). The noise is drawn here if it is not given.

        Where several processes train together, all of them must call it: they exchange p.
        """
        p = self.gate(x)  # (B, E)
        return Objective(
            expected=self.expected_loss(p, x, y, self.noise(len(x)) if noise is None else noise),
            balancing=self.balancing(x, p),
        )

    def forward(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        return self.objective(x, y, noise)

    def balancing(self, x: Tensor, p: Tensor) -> Tensor:
        """The balancing term of this level, and those of the levels below where experts are mixtures: a scalar."""
        own = self.balance(gather(p)) if self.balance else p.new_zeros(())
        return own + self.experts.balancing(x, p)

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        """mean_b Σ_i p_i loss_i, a scalar; with top_k the sum runs over the experts chosen for each example."""
        if self.top_k is None:
            return (p * self.experts.losses(x, y, noise)).sum(dim=1).mean()
        route = dispatch(p, self.top_k)  # N = B top_k pairs of example and expert
        own = noise[route.rows, route.experts]  # (N, Z)
        losses = self.experts.losses(x[route.rows], y[route.rows], own, route.counts)  # (N,)
        return (route.weight * losses).sum() / len(x)

    @torch.no_grad()
    def assign(self, x: Tensor) -> Tensor:
        """The most probable expert of each example, int64 (B,); in a tree the path down to one, (B, levels).

        It goes through x a thousand examples at a time, so a whole data set fits.
        """
        return torch.cat([self.experts.descend(part, self.gate(part).argmax(dim=1)) for part in x.split(1000)])

    @torch.no_grad()
    def expert_losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        """Loss of each expert on each example (B, E), for looking at: without gradients."""
        return self.experts.losses(x, y, noise)

    def generate(self, expert: int | Sequence[int], n: int, seed: int) -> Tensor:
        """n images drawn by one expert, or at the end of a path: (n, D)."""
        return self.experts.generate(expert, n, seed)

    def check(self, x: Tensor, y: Tensor) -> None:
        """Raises TypeError or ValueError on data that the experts cannot learn from; see `Experts.check`."""
        require_matrix("x", x, self.experts.in_features)
        require_matrix("y", y, self.experts.out_features)
        self.experts.check(x, y)


class CooperatingExperts(MixtureOfExperts):
    r"""The same parts with the loss of the blended output:  mean_b ‖ y_b - Σ_i p_i(x_b) y_i(x_b) ‖².

    Now every expert is corrected for the error that all of them make together, so they lean on one another instead of
    specialising. It stands here to be compared with, in chapter 2 (Jacobs et al. 1991, eq. 1.1). Regression only, and
    no top_k: every expert has its part in the output.
    """

    def __init__(self, manager: nn.Module, experts: Experts, balance: Balance | None = None) -> None:
        super().__init__(manager, experts, balance)

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        blended = (p.unsqueeze(2) * self.experts.predict(x)).sum(dim=1)  # (B, D_out)
        return (y - blended).square().sum(dim=1).mean()


class LikelihoodMixture(MixtureOfExperts):
    r"""The same parts with the likelihood of the mixture:  mean_b -ln Σ_i p_i(x_b) exp( -loss_i(x_b, y_b) ).

    Where each loss is a negative log-likelihood, or a bound on one, so is this. Its gradient weighs expert i by the
    responsibility  r_i = p_i exp(-loss_i) / Σ_j p_j exp(-loss_j),  not by p_i: an image belongs at once to who explains
    it best. All experts are computed, so there is no top_k. Jacobs et al. 1991, eq. 1.3. Explained in chapter 8.
    """

    def __init__(self, manager: nn.Module, experts: Experts, balance: Balance | None = None) -> None:
        super().__init__(manager, experts, balance)

    def objective(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        log_p = self.manager(x).float().log_softmax(dim=1)  # (B, E); ln of a p of zero would have no gradient
        losses = self.experts.losses(x, y, self.noise(len(x)) if noise is None else noise)  # (B, E)
        return Objective(
            expected=-(log_p - losses).logsumexp(dim=1).mean(),
            balancing=self.balancing(x, log_p.exp()),
        )
