"""Experts that are mixtures of experts themselves: a tree of any depth, each level one batched product."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.balance import Balance
from moe_lib.experts import Experts
from moe_lib.layers import Activation, expert_mlp, require_index, require_matrix, require_positive
from moe_lib.mixture import MixtureOfExperts
from moe_lib.processes import gather


class Managers(nn.Module):
    r"""G managers side by side, one for each mixture of a level; as `Manager`, in one batched product.

    Args:
        num_mixtures: G.
        in_features: D, the size of an example.
        num_experts: K, how many experts each of them chooses among.
        hidden: sizes of the hidden layers; empty for linear managers.
        activation: between the layers.

    Shape:
        in: (B, D), seen by all, or (B, G, D), one each; out: logits (B, G, K).
        With `counts`, how many rows belong to each mixture, (N, D) → (N, K).
    """

    def __init__(
        self,
        num_mixtures: int,
        in_features: int,
        num_experts: int,
        hidden: Sequence[int] = (128,),
        activation: Activation = "sigmoid",
    ) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.num_mixtures, self.in_features, self.num_experts = num_mixtures, in_features, num_experts
        self.layers = expert_mlp(num_mixtures, [in_features, *hidden, num_experts], activation)

    def forward(self, x: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        require_matrix("x", x.flatten(0, -2), self.in_features)
        if counts is not None:
            return self.layers(x, counts)  # (N, K)
        return self.layers(x.transpose(0, 1) if x.dim() == 3 else x).transpose(0, 1)  # (B, G, K)


class Mixtures(Experts):
    r"""G mixtures of K experts each, which are themselves the G experts of the level above. Chapter 9.

    loss_i(x, y) = Σ_k p_{k|i}(x) loss_ik(x, y),     p_{·|i} = softmax(managers_i(x))

    A mixture's expected loss on an example is again a loss on an example, so nothing above it need know. Multiplied
    out, an example pays  Σ_i p_i Σ_k p_{k|i} loss_ik:  probabilities multiply down the tree.

    Each mixture has the objective of `MixtureOfExperts` on the examples that reach it. Example b does so with p_i(x_b),
    and the level as a whole pays the mean over all examples of

    Σ_i π_i [ (Σ_b p_i(x_b) Σ_k p_{k|i}(x_b) loss_ik) / (Σ_b p_i(x_b))  +  balance( p_{·|i}; reach p_i ) ],
    π_i = mean_b p_i(x_b)

    whose first part is the expected loss above, and whose second is the balancing of this level: over each mixture's
    own examples, and weighing as much as they do.

    All G K experts are one batched product. They may be `Mixtures` in turn. Jordan and Jacobs 1994 (Neural Computation
    6(2)) trained such trees by expectation maximisation.

    Args:
        managers: from x (B, D) to logits (B, G, K).
        experts: G K models, those of the first mixture first.
        balance: a balancing term of `moe_lib.balance` for each of the mixtures, or None. It is computed for all of them
            at once (`torch.vmap`), so a term of your own may not ask for the value of a tensor: no `if`, no `.item()`.

    Raises:
        ValueError: if managers and experts differ in their numbers or the size of x.
    """

    def __init__(self, managers: Managers, experts: Experts, balance: Balance | None = None) -> None:
        super().__init__()
        self.num_experts, self.children_each = managers.num_mixtures, managers.num_experts
        if self.num_experts * self.children_each != experts.num_experts:
            raise ValueError(
                f"{self.num_experts} managers choose among {self.children_each} experts each; "
                f"there are {experts.num_experts}, not {self.num_experts * self.children_each}"
            )
        if managers.in_features != experts.in_features:
            raise ValueError(f"the managers take {managers.in_features} features, the experts {experts.in_features}")
        self.in_features, self.out_features = experts.in_features, experts.out_features
        self.managers, self.experts, self.balance = managers, experts, balance

    def extra_repr(self) -> str:
        return f"balance={self.balance}"

    def gate(self, x: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """p_{k|i}: x (B, D) or (B, G, D) → (B, G, K), each row summing to one; with `counts` (N, D) → (N, K)."""
        return self.managers(x, counts).float().softmax(dim=-1)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None, counts: Sequence[int] | None = None) -> Tensor:
        p = self.gate(x, counts)
        if noise is not None:  # (B, G, K, Z) or (N, K, Z)
            noise = noise.unflatten(-1, (self.children_each, noise.shape[-1] // self.children_each))
        if counts is None:
            noise = None if noise is None else noise.flatten(1, 2)
            below = self.experts.losses(self._for_children(x), self._for_children(y), noise)  # (B, G K)
            return (p * below.unflatten(1, (self.num_experts, -1))).sum(dim=2)  # (B, G)
        rows = [
            r for part in torch.arange(len(x), device=x.device).split(list(counts)) for r in [part] * self.children_each
        ]
        order = torch.cat(rows)  # (N K,), each row once for each child, child by child
        child = torch.cat([torch.full_like(part, k % self.children_each) for k, part in enumerate(rows)])
        drawn = None if noise is None else noise[order, child]  # (N K, Z)
        below = self.experts.losses(x[order], y[order], drawn, [len(part) for part in rows])  # (N K,)
        return torch.zeros_like(p[:, 0]).index_add(0, order, p[order, child] * below)  # (N,)

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """What all experts of a mixture draw, one after the other: (n, G, K Z)."""
        return self.experts.noise(n, generator).unflatten(1, (self.num_experts, -1)).flatten(2)

    def balancing(self, x: Tensor, reach: Tensor) -> Tensor:
        p = self.gate(x)  # (B, G, K)
        reached = (reach.unsqueeze(2) * p).flatten(1)  # (B, G K), what is left for the level below
        below = self.experts.balancing(self._for_children(x), reached)
        if self.balance is None:
            return below
        p, reach = gather(p), gather(reach)
        own = torch.vmap(self.balance, in_dims=1)(p, reach)  # (G,)
        return (reach.mean(dim=0) * own).sum() + below

    @torch.no_grad()
    def descend(self, x: Tensor, expert: Tensor) -> Tensor:
        """The most probable child again and again: int64 (B,) → the path (B, levels), the expert given first."""
        child = self.gate(x)[torch.arange(len(x), device=x.device), expert].argmax(dim=1)  # (B,)
        leaf = expert * self.children_each + child
        below = self.experts.descend(x, leaf).reshape(len(x), -1)  # (B, levels - 1), numbered across the whole level
        return torch.cat([expert.unsqueeze(1), child.unsqueeze(1), below[:, 1:]], dim=1)

    @torch.no_grad()
    def generate(self, path: int | Sequence[int], n: int, seed: int) -> Tensor:
        """n images drawn at the end of a path, (n, D); a path that ends at a mixture draws from its children in turn.

        Raises:
            IndexError: if there is no such path.
        """
        first, *rest = (path,) if isinstance(path, int) else tuple(path)
        require_index("expert", first, self.num_experts)
        if rest:
            require_index("child", rest[0], self.children_each)
        deeper = isinstance(self.experts, Mixtures)
        if len(rest) > 1 and not deeper:
            raise IndexError(f"the path {tuple(path)} goes on below a single model")
        if rest:
            leaf = first * self.children_each + rest[0]
            return self.experts.generate((leaf, *rest[1:]) if deeper else leaf, n, seed)
        drawn = [self.generate((first, k), n, seed + k) for k in range(self.children_each)]
        return torch.stack(drawn, dim=1).flatten(0, 1)[:n]

    def check(self, x: Tensor, y: Tensor) -> None:
        self.experts.check(self._rows(x), self._rows(y))

    def _for_children(self, x: Tensor) -> Tensor:
        """Examples of a mixture's own are those of each of its children: (B, G, D) → (B, G K, D); (B, D) as it is."""
        return x.repeat_interleave(self.children_each, dim=1) if x.dim() == 3 else x


class JointManager(nn.Module):
    r"""A manager and those below it as one:  ln p_ik(x) = ln p_i(x) + ln p_{k|i}(x).

    Args:
        manager: from x (B, D) to logits (B, G).
        managers: from x (B, D) to logits (B, G, K).

    Shape:
        in: (B, D); out: ln p (B, G K), which are logits that sum to one already.
    """

    def __init__(self, manager: nn.Module, managers: Managers) -> None:
        super().__init__()
        self.manager, self.managers = manager, managers
        self.in_features, self.num_experts = managers.in_features, managers.num_mixtures * managers.num_experts

    def forward(self, x: Tensor) -> Tensor:
        above, below = self.manager(x).float(), self.managers(x).float()  # (B, G) and (B, G, K)
        return (above.log_softmax(dim=1).unsqueeze(2) + below.log_softmax(dim=2)).flatten(1)


def flattened(model: MixtureOfExperts) -> MixtureOfExperts:
    """A tree seen from its leaves: one level with the same weights, not copies, and no balancing. Chapter 9.

    Its gate gives the joint probabilities of the leaves, and every measure of a mixture measures them.
    """
    while isinstance(model.experts, Mixtures):
        manager = JointManager(model.manager, model.experts.managers)
        model = MixtureOfExperts(manager, model.experts.experts).train(model.training)
    return model
