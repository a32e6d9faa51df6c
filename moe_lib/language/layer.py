"""A layer whose experts are small networks: each token is computed by a few of them, and their outputs are added."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from moe_lib.balance import WeightedTerm
from moe_lib.layers import Activation, Configured, expert_mlp, require_positive
from moe_lib.manager import Manager
from moe_lib.scaling.routing import dispatch


class Routing(NamedTuple):
    """What the manager of a layer decided for N tokens."""

    logits: Tensor  # (N, E)
    p: Tensor  # their softmax, (N, E)
    chosen: Tensor  # int64 (N, k), the experts of each token
    dropped: Tensor  # bool (N, E), True where a token found its expert full

    @property
    def load(self) -> Tensor:
        """How many tokens chose each expert, those that it dropped included: (E,)."""
        return torch.bincount(self.chosen.flatten(), minlength=self.p.shape[1])


class RoutedLayer(Configured, nn.Module):
    r"""out = Σ_{i in top-k} g_i expert_i(x),   g_i = p_i / Σ_{j in top-k} p_j,   p = softmax(manager(x)).

    The *outputs* are weighted, not the losses. With k = 1 the weight is p_i itself: scaled it would be 1, and no
    gradient would reach the manager. One expert is a dense layer.

    Shape:
        in: x (N, D), one token a row; out: (N, D), and the `Routing`.

    Args:
        width: D.
        hidden: hidden units of each expert.
        num_experts: E.
        top_k: how many experts compute a token (Shazeer et al. 2017, arXiv:1701.06538; Switch has one).
        capacity: a factor c: each expert takes its first ⌈c k N / E⌉ tokens, the others get nothing of it (Fedus et
            al. 2022, eq. 3). None drops no token.
        bias_rate: u > 0 balances without a loss: the top k are those of p + b, the weights stay those of p, and in
            training each batch moves b_i by u, up where the load is below its mean and down where it is above (Wang et
            al. 2024, arXiv:2408.15664, algorithm 1).
        activation: of the hidden units.
    """

    def __init__(
        self, width: int, hidden: int, num_experts: int, top_k: int = 1, capacity: float | None = None,
        bias_rate: float = 0.0, activation: Activation = "relu",
    ) -> None:  # fmt: skip
        super().__init__()
        for name, value in (("width", width), ("hidden", hidden), ("num_experts", num_experts)):
            require_positive(name, value)
        if not 1 <= top_k <= num_experts:
            raise ValueError(f"top_k is {top_k}; choose 1 to {num_experts} experts")
        if capacity is not None and not 0 < capacity < math.inf:
            raise ValueError(f"capacity is {capacity}; give a positive factor, for instance 1.25, or None")
        if not 0 <= bias_rate < math.inf:
            raise ValueError(f"bias_rate is {bias_rate}; give a finite number of 0 or more")
        self.width, self.hidden, self.num_experts, self.activation = width, hidden, num_experts, activation
        self.top_k, self.capacity, self.bias_rate, self.scaled = top_k, capacity, bias_rate, top_k > 1
        self.manager = Manager(width, num_experts, hidden=())
        self.experts = expert_mlp(num_experts, width, (hidden,), width, activation)
        self.register_buffer("bias", torch.zeros(num_experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        logits = self.manager(x)  # (N, E)
        p = logits.softmax(dim=1)
        chosen = (p + self.bias).topk(self.top_k, dim=1).indices  # (N, k)
        among = torch.zeros_like(p).scatter_(1, chosen, 1.0)  # (N, E): 1 for the chosen
        route = dispatch(p * among, self.top_k)  # (R, E) each
        places = len(route.rows) if self.capacity is None else self.places(len(x))
        rows, weight = route.rows[:places], route.weight[:places]  # the first in the batch
        if not self.scaled:
            weight = weight * p.gather(0, rows)  # the scaled weight of a place is 1, that of an empty one 0
        outputs = self.experts(x[rows].transpose(0, 1))  # (E, R, D)
        weighted = weight.T.unsqueeze(2) * outputs  # (E, R, D)
        out = torch.zeros_like(x).index_add(0, rows.T.flatten(), weighted.flatten(0, 1))  # (N, D)
        late = among.cumsum(dim=0) > places
        routing = Routing(logits, p, chosen, late & (among > 0))
        if self.training and self.bias_rate:
            load = routing.load.to(p.dtype)
            self.bias += self.bias_rate * (load.mean() - load).sign()
        return out, routing

    def places(self, tokens: int) -> int:
        """How many of so many tokens each expert takes at most."""
        return math.ceil(self.capacity * self.top_k * tokens / self.num_experts)


class ZLoss(WeightedTerm):
    r"""Keeps logits small:  w · mean_b ( ln Σ_i e^{a_i} )².

    It takes logits (B, E), not probabilities, and asks nothing of the balance. Zoph et al. 2022 (arXiv:2202.08906, eq.
    5; c_z = 0.001 there).
    """

    def __call__(self, logits: Tensor) -> Tensor:  # (B, E)
        return self.weight * logits.logsumexp(dim=1).square().mean()
