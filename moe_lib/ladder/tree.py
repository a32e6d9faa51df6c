"""Experts that are mixtures of experts themselves: a tree of any depth, each level one batched product."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.balance import Balance, ImportanceCV2, ImportanceVariance
from moe_lib.experts import Experts, Objective
from moe_lib.ladder.balancing import Floor
from moe_lib.layers import Activation, Configured, expert_mlp, require_index, require_positive
from moe_lib.mixture import AnyManager, MixtureOfExperts, looking


class StackedManagers(Configured, nn.Module):
    r"""G managers side by side, one for each mixture of a level; as `Manager`, in one batched product.

    Args:
        num_mixtures: G.
        in_features: D, the size of an example.
        num_experts: K, how many experts each of them chooses among.
        hidden: sizes of the hidden layers; empty for linear managers.
        activation: between the layers.

    Shape:
        in: (B, D), seen by all, or (B, G, D), one each; out: logits (B, G, K).
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
        require_positive("num_mixtures", num_mixtures)
        require_positive("num_experts", num_experts)
        self.num_mixtures, self.in_features, self.num_experts = num_mixtures, in_features, num_experts
        self.hidden, self.activation = hidden, activation
        self.layers = expert_mlp(num_mixtures, in_features, hidden, num_experts, activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.transpose(0, 1) if x.dim() == 3 else x).transpose(0, 1)  # (B, G, K)


class MixtureExperts(Experts):
    r"""G mixtures of K experts each, which are themselves the G experts of the level above. Chapter 9.

    loss_i(x, y) = Σ_k p_{k|i}(x) loss_ik(x, y),     p_{·|i} = softmax(managers_i(x))

    A mixture's expected loss on an example is again a loss on an example, so nothing above it need know. Multiplied
    out, an example pays  Σ_i p_i Σ_k p_{k|i} loss_ik:  probabilities multiply down the tree.

    Each mixture has the objective of `MixtureOfExperts` on the examples that reach it. Example b does so with p_i(x_b),
    its sample weight, and the level as a whole pays the mean over all examples of

    Σ_i π_i [ (Σ_b p_i(x_b) Σ_k p_{k|i}(x_b) loss_ik) / (Σ_b p_i(x_b))  +  balance( p_{·|i}; sample weights p_i ) ],
    π_i = mean_b p_i(x_b)

    whose first part is the expected loss above, and whose second is the balancing of this level: over each mixture's
    own examples, and weighing as much as they do.

    All G K experts are one batched product. They may be `MixtureExperts` in turn. Jordan and Jacobs 1994 (Neural
    Computation 6(2)) trained such trees by expectation maximisation.

    Args:
        managers: from x (B, D) to logits (B, G, K).
        experts: G K models, those of the first mixture first.
        balance: a balancing term of the importance alone, for each of the mixtures, or None: `ImportanceCV2`,
            `ImportanceVariance` or `Floor`. Others look at each example, which cannot be weighted from outside.

    Raises:
        TypeError: if the balancing term is none of these.
        ValueError: if managers and experts differ in their numbers or the size of x.
    """

    def __init__(self, managers: StackedManagers, experts: Experts, balance: Balance | None = None) -> None:
        super().__init__()
        self.num_experts, self.children_each = managers.num_mixtures, managers.num_experts
        if self.num_experts * self.children_each != experts.num_experts:
            raise ValueError(
                f"{self.num_experts} managers choose among {self.children_each} experts each; "
                f"there are {experts.num_experts}, not {self.num_experts * self.children_each}"
            )
        if managers.in_features != experts.in_features:
            raise ValueError(f"the managers take {managers.in_features} features, the experts {experts.in_features}")
        if balance is not None and not isinstance(balance, ImportanceCV2 | ImportanceVariance | Floor):
            raise TypeError(
                f"balance is {balance!r}; below the trunk a term must be one of the importance alone: ImportanceCV2, "
                f"ImportanceVariance or Floor"
            )
        self.in_features, self.out_features = experts.in_features, experts.out_features
        self.value_range = experts.value_range
        self.managers, self.experts, self.balance = managers, experts, balance

    def gate(self, x: Tensor) -> Tensor:
        """p_{k|i}: x (B, D) or (B, G, D) → (B, G, K), each row summing to one."""
        return self.managers(x).float().softmax(dim=-1)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        if noise is not None:  # (B, G, K Z) → (B, G K, Z)
            noise = noise.unflatten(2, (self.children_each, noise.shape[2] // self.children_each)).flatten(1, 2)
        below = self.experts.losses(self._for_children(x), self._for_children(y), noise)  # (B, G K)
        return (self.gate(x) * below.unflatten(1, (self.num_experts, -1))).sum(dim=2)  # (B, G)

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """What all experts of a mixture draw, one after the other: (n, G, K Z)."""
        return self.experts.noise(n, generator).unflatten(1, (self.num_experts, -1)).flatten(2)

    def objective(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        """As of all experts on their own, and the balancing of this level and of those below."""
        losses = self.losses(x, y, noise)  # (B, G)
        return Objective(losses.mean(), self.balancing(x, torch.full_like(losses, 1 / self.num_experts)))

    def balancing(self, x: Tensor, sample_weight: Tensor) -> Tensor:
        """The balancing of this level and of those below, a scalar.

        Args:
            x: (B, D), or (B, G, D), other examples for each mixture.
            sample_weight: how much of each example reaches each mixture, (B, G).
        """
        p = self.gate(x)  # (B, G, K)
        total = p.new_zeros(())
        if isinstance(self.experts, MixtureExperts):
            reaching = (sample_weight.unsqueeze(2) * p).flatten(1)  # (B, G K), what is left for the level below
            total = self.experts.balancing(self._for_children(x), reaching)
        if self.balance is None:
            return total
        # Where nothing arrives all count alike, for there to be a mean: 1e-30 of it is none of the loss.
        p, weight = self.pooled(p), self.pooled(sample_weight).clamp_min(1e-30)
        # Weighted means as sums of products: a matrix product would be bfloat16 under autocast.
        share = (weight.unsqueeze(2) * p).sum(dim=0) / weight.sum(dim=0).unsqueeze(1)  # (G, K)
        # A term of the importance alone cannot tell a batch from as many copies of its mean.
        terms = torch.stack([self.balance(mean.expand(len(p), -1)) for mean in share])  # (G,)
        return (weight.mean(dim=0) * terms).sum() + total

    def pooled(self, values: Tensor) -> Tensor:
        """The rows of the whole batch; see `MixtureOfExperts.pooled`."""
        return values

    def leaf_path(self, x: Tensor, expert: Tensor) -> Tensor:
        """The most probable child again and again: int64 (B,) → the path (B, levels), the expert given first."""
        child = self.gate(x)[torch.arange(len(x), device=x.device), expert].argmax(dim=1)  # (B,)
        leaf = (expert * self.children_each + child).unsqueeze(1)
        below = self.experts.leaf_path(x, leaf.squeeze(1)) if isinstance(self.experts, MixtureExperts) else leaf
        return torch.cat([expert.unsqueeze(1), child.unsqueeze(1), below[:, 1:]], dim=1)

    @torch.no_grad()
    def generate(self, path: int | Sequence[int], n: int, seed: int) -> Tensor:
        """n images drawn at the end of a path, (n, D); a path that ends at a mixture draws from its children in turn.

        Raises:
            IndexError: if there is no such path.
            TypeError: if such experts cannot draw.
        """
        first, *rest = (path,) if hasattr(path, "__index__") else tuple(path)
        require_index("expert", first, self.num_experts)
        if rest:
            require_index("child", rest[0], self.children_each)
        deeper = isinstance(self.experts, MixtureExperts)
        if not hasattr(self.experts, "generate"):
            raise TypeError(f"{type(self.experts).__name__} predict y from x and draw nothing")
        if len(rest) > 1 and not deeper:
            raise IndexError(f"the path {tuple(path)} goes on below a single model")
        if rest:
            leaf = first * self.children_each + rest[0]
            return self.experts.generate((leaf, *rest[1:]) if deeper else leaf, n, seed)
        drawn = [self.generate((first, k), n, seed + k) for k in range(self.children_each)]
        return torch.stack(drawn, dim=1).flatten(0, 1)[:n]

    def _for_children(self, x: Tensor) -> Tensor:
        """Examples of one mixture are those of each of its children: (B, G, D) → (B, G K, D); (B, D) as it is."""
        return x.repeat_interleave(self.children_each, dim=1) if x.dim() == 3 else x


class MixtureTree(MixtureOfExperts):
    r"""A mixture whose experts are mixtures: the trunk's objective and the balancing of all levels below. Chapter 9.

    `assign` says which mixture each example goes to, `leaf_path` the way down to a single model, `generate` draws at
    the end of a path.

    Args:
        manager: from x (B, D) to logits (B, G).
        experts: G mixtures.
        balance: a balancing term of the trunk, or None.

    Raises:
        TypeError: if the experts are no `MixtureExperts`.
    """

    def __init__(self, manager: AnyManager, experts: MixtureExperts, balance: Balance | None = None) -> None:
        super().__init__(manager, experts, balance)
        if not isinstance(experts, MixtureExperts):
            raise TypeError(f"experts are {type(experts).__name__}; a tree needs MixtureExperts")

    def balancing(self, x: Tensor, p: Tensor) -> Tensor:
        """The balancing terms of all levels, a scalar."""
        return super().balancing(x, p) + self.experts.balancing(x, p)

    def leaf_path(self, x: Tensor) -> Tensor:
        """The most probable expert on every level, int64 (B, levels); a thousand examples are computed at a time."""
        self.check(x)
        with looking(self) as device:
            parts = [part.to(device) for part in x.split(1000)]
            paths = [self.experts.leaf_path(part, self.gate(part).argmax(dim=1)) for part in parts]
            return torch.cat(paths).to(x.device)


class JointManager(Configured, nn.Module):
    r"""A manager and those below it as one:  ln p_ik(x) = ln p_i(x) + ln p_{k|i}(x).

    Args:
        manager: from x (B, D) to logits (B, G).
        managers: from x (B, D) to logits (B, G, K).

    Shape:
        in: (B, D); out: ln p (B, G K), which are logits that sum to one already.
    """

    def __init__(self, manager: AnyManager, managers: StackedManagers) -> None:
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
    while isinstance(model.experts, MixtureExperts):
        manager = JointManager(model.manager, model.experts.managers)
        model = MixtureOfExperts(manager, model.experts.experts)
    return model
