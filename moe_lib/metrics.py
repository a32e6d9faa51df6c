"""How good is it? Measures of a trained mixture. Labels may come in here, and only here."""

import math
import operator
from typing import NamedTuple

import torch
from torch import Tensor

from moe_lib.balance import entropy
from moe_lib.mixture import MixtureOfExperts, looking


class Evaluation(NamedTuple):
    """What a mixture says of a data set: gate probabilities p and the loss of each expert, (B, E) each."""

    gate: Tensor
    losses: Tensor

    @property
    def expected(self) -> float:
        """mean_b Σ_i p_i loss_i."""
        return (self.gate * self.losses).sum(dim=1).mean().item()

    @property
    def assignments(self) -> Tensor:
        """The most probable expert of each example, int64 (B,)."""
        return self.gate.argmax(dim=1)


def evaluate(model: MixtureOfExperts, x: Tensor, y: Tensor, seed: int = 0, batch_size: int = 1000) -> Evaluation:
    """Gate and losses over a whole data set x (B, D), y (B, D_out), in evaluation mode; the answer lies on the CPU."""
    model.check(x, y)
    gates, losses, size = [], [], operator.index(batch_size)
    with looking(model) as device:
        generator = torch.Generator(device).manual_seed(operator.index(seed))
        for xs, ys in zip(x.split(size), y.split(size), strict=True):
            xs, ys = xs.to(device), ys.to(device)
            gates.append(model.gate(xs).cpu())
            losses.append(model.expert_losses(xs, ys, model.noise(len(xs), generator)).cpu())
    return Evaluation(torch.cat(gates), torch.cat(losses))


def contingency(assignments: Tensor, labels: Tensor, num_experts: int | None = None) -> Tensor:
    """How often expert and label meet: whole numbers (B,) each → counts, int64 (E, K)."""
    for name, values in (("assignments", assignments), ("labels", labels)):
        if not isinstance(values, Tensor) or values.is_floating_point() or values.dim() != 1:
            raise TypeError(f"{name} must be a tensor of whole numbers of shape (B,), one an example")
    if len(assignments) != len(labels) or len(labels) == 0:
        raise ValueError(f"{len(assignments)} assignments and {len(labels)} labels; they must be pairs, at least one")
    if assignments.min() < 0 or labels.min() < 0:
        raise ValueError("assignments and labels count from 0; a negative one was given")
    assignments, labels = assignments.long(), labels.long()
    experts, classes = max(num_experts or 0, int(assignments.max()) + 1), int(labels.max()) + 1
    return torch.bincount(assignments * classes + labels, minlength=experts * classes).view(experts, classes)


def match_experts(assignments: Tensor, labels: Tensor, num_experts: int | None = None) -> Tensor:
    """The one-to-one map of experts to labels that gets the most examples right (Hungarian method; Kuhn 1955).

    Fitted on training data, the label of each expert, int64 (E,); it classifies test images as ``match[assignments]``.
    E is the number of classes, or of experts that were assigned, unless `num_experts` says more. Where there are more
    experts than classes, those left over map to -1, which is never right.
    """
    from scipy.optimize import linear_sum_assignment  # here, since importing it takes as long as all of this library

    counts = contingency(assignments, labels, num_experts).cpu()  # (E, K)
    counts = torch.nn.functional.pad(counts, (0, 0, 0, max(0, counts.shape[1] - counts.shape[0])))
    experts, classes = linear_sum_assignment(counts.numpy(), maximize=True)
    match = torch.full((len(counts),), -1)
    match[torch.as_tensor(experts)] = torch.as_tensor(classes)
    return match.to(assignments.device)


def clustering_accuracy(assignments: Tensor, labels: Tensor) -> float:
    """ACC: share of examples on the right label under the best one-to-one map of experts to labels, in [0, 1].

    The map is fitted on the same examples, as the clustering papers do it; `match_experts` for a map fitted elsewhere.
    """
    return (match_experts(assignments, labels)[assignments.long()] == labels).float().mean().item()


class GateHealth(NamedTuple):
    """What a gate's probabilities alone say of it: no label and no loss is needed."""

    balance: float  # H(mean_b p) / ln E, in [0, 1]: 1 when all experts get the same share, 0 when one gets all
    gate_entropy: float  # mean_b H(p) in nats: 0 when every image is decided, ln E when none is
    information: float  # H(mean_b p) - mean_b H(p) in nats, at most ln E: what the expert tells of the image
    experts_in_use: int  # with more than a tenth of a fair share: of ten, more than 1 % of all probability
    busiest: float  # share of the busiest expert, in [0, 1]


def gate_health(p: Tensor) -> GateHealth:
    """Health of a gate from its probabilities p (B, E)."""
    share = p.mean(dim=0)  # (E,)
    spread, gate_entropy = entropy(share).item(), entropy(p).mean().item()
    return GateHealth(
        balance=spread / math.log(len(share)) if len(share) > 1 else 1.0,
        gate_entropy=gate_entropy,
        information=spread - gate_entropy,
        experts_in_use=int((share > 0.1 / len(share)).sum()),
        busiest=share.max().item(),
    )


def borders(model: MixtureOfExperts, low: float = -1.0, high: float = 1.0, points: int = 2001) -> list[float]:
    """Where on [low, high] the most probable expert changes, for a model of one input; as exact as the grid."""
    grid = torch.linspace(low, high, points).unsqueeze(1)
    experts = model.assign(grid)
    return grid[1:][experts[1:] != experts[:-1]].flatten().tolist()
