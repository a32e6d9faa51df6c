"""Are drawn digits the digits that were asked for? A network trained on labels examines them."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from moe_lib.experts import Experts
from moe_lib.mixture import looking


class Examination(NamedTuple):
    """What the examiner reads in images that each expert drew."""

    counts: Tensor
    """int64 (E, K): how often each expert's drawings read as each digit."""
    accuracy: float
    """Conditional accuracy in [0, 1]: share of drawings that read as the digit of their expert, mean over experts."""
    covered: int
    """Digits that are read in at least a tenth of their fair share of all drawings."""


def examine(
    experts: Experts, examiner: nn.Module, digit_of_expert: Tensor, n: int = 1000, seed: int = 0
) -> Examination:
    """Lets every expert draw n mean images for z ~ N(0, I), and the examiner read them. Explained in chapter 7.

    Args:
        experts: E of them that can draw; for a mixture, ``model.experts``.
        examiner: from images (B, D) to logits over digits (B, K), in evaluation; see
            `moe_lib.ladder.load_examiner`.
        digit_of_expert: int64 (E,), the digit each expert is asked for; see `match_experts`.
        n: drawings of each expert.
        seed: of z.

    Raises:
        ValueError: if there is not one digit for each expert.
    """
    if digit_of_expert.shape != (experts.num_experts,):
        raise ValueError(
            f"digit_of_expert has shape {tuple(digit_of_expert.shape)}; expected ({experts.num_experts},), "
            f"one digit an expert"
        )
    with looking(experts), looking(examiner) as device:
        drawn = (experts.generate(i, n, seed).to(device) for i in range(experts.num_experts))
        readings = torch.stack([examiner(images).cpu() for images in drawn])  # (E, n, K)
    digits = readings.argmax(dim=2)  # (E, n)
    counts = torch.nn.functional.one_hot(digits, readings.shape[2]).sum(dim=1)  # (E, K)
    share = counts.sum(dim=0) / counts.sum()  # (K,)
    return Examination(
        counts=counts,
        accuracy=(digits == digit_of_expert.cpu().unsqueeze(1)).float().mean().item(),
        covered=int((share >= 0.1 / len(share)).sum()),
    )
