"""Managers around a manager: each changes its logits while it learns, and needs no term in the loss.

In training they look at the whole batch or count it; in evaluation each image stands for itself. Chapter 8 compares
them.
"""

import torch
from torch import Tensor, nn

from moe_lib.layers import Configured, require_positive
from moe_lib.mixture import AnyManager


class _Wrapper(Configured, nn.Module):
    """What they share: the manager inside, and its sizes.

    Args:
        manager: from x (B, D) to logits (B, E).
    """

    def __init__(self, manager: AnyManager) -> None:
        super().__init__()
        self.manager = manager
        self.in_features, self.num_experts = manager.in_features, manager.num_experts

    def pooled(self, values: Tensor) -> Tensor:
        """The rows of the whole batch; see `MixtureOfExperts.pooled`."""
        return values


class AnnealedManager(_Wrapper):
    r"""Undecided at first:  p = softmax( logits / T ),  with T falling in a straight line from `start` to 1.

    While T is high every expert learns from every image a little, so that none is left behind by its start. Rose 1998
    (Proc. IEEE 86(11)).

    Args:
        manager: from x (B, D) to logits (B, E).
        start: T of the first batch.
        steps: batches until T is 1.
    """

    def __init__(self, manager: AnyManager, start: float, steps: int) -> None:
        super().__init__(manager)
        require_positive("start", start)
        require_positive("steps", steps)
        self.start, self.steps = start, steps
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        temperature = self.start + (1 - self.start) * (self.seen / self.steps).clamp_max(1)
        if self.training:
            self.seen += 1
        return self.manager(x).float() / temperature


class BiasedManager(_Wrapper):
    r"""A bias for each expert that no gradient moves:  p = softmax(logits + b),  b_i ← b_i + u · sign(1/E - load_i).

    load_i is the share of the batch whose most probable expert is i. Idle experts so become likelier step by step, with
    no balancing term to pull against the loss. Wang et al. 2024 (arXiv:2408.15664) add b only where the top k are
    chosen; here every expert has its part, so b is part of p.

    Args:
        manager: from x (B, D) to logits (B, E).
        rate: u, in logits per batch.
    """

    def __init__(self, manager: AnyManager, rate: float = 0.01) -> None:
        super().__init__(manager)
        require_positive("rate", rate)
        self.rate = rate
        self.register_buffer("bias", torch.zeros(manager.num_experts))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.manager(x).float() + self.bias  # (B, E)
        if self.training:
            experts = torch.arange(self.num_experts, device=x.device)
            won = (logits.argmax(dim=1, keepdim=True) == experts).float()  # (B, E)
            load = self.pooled(won).mean(dim=0)  # (E,), of all processes
            self.bias += self.rate * (1 / self.num_experts - load).sign()
        return logits


class SinkhornManager(_Wrapper):
    r"""Shares a batch out evenly:  p = diag(u) exp(logits) diag(v),  rows summing to 1 and columns to B/E.

    u and v are found by dividing columns and rows by their sums in turn. In evaluation p is the plain softmax. Cuturi
    2013 (arXiv:1306.0895); for managers Clark et al. 2022 (arXiv:2202.01169).

    Args:
        manager: from x (B, D) to logits (B, E).
        rounds: how often columns and rows are divided.
    """

    def __init__(self, manager: AnyManager, rounds: int = 5) -> None:
        super().__init__(manager)
        require_positive("rounds", rounds)
        self.rounds = rounds

    def forward(self, x: Tensor) -> Tensor:
        logits = self.manager(x).float()  # (B, E)
        if not self.training:
            return logits
        whole, start = self.pooled(logits), 0  # where several processes train together, the batch of all of them
        if len(whole) > len(logits):
            start = torch.distributed.get_rank() * len(logits)
        for _ in range(self.rounds):
            whole = whole.log_softmax(dim=0).log_softmax(dim=1)
        return whole[start : start + len(logits)]
