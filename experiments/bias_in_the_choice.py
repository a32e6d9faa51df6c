"""Loss-free balancing as it was published: the bias decides who computes, and nothing else. Read by chapters 8 and 11.

    python experiments/bias_in_the_choice.py

About half an hour on one CPU core; goes on where it was stopped

Wang and others 2024 (arXiv:2408.15664) add a bias to an expert's score only where the top k are chosen; what the chosen
experts give is weighted by p without the bias. Here each image is computed by the two experts of the largest p_i + b_i.
Their losses are weighted by p as it is, as in the paper, or by p scaled to sum to one over the two. After each batch
b_i ← b_i + u sign(1/E - load_i). The rate of the paper is 0.001; experiments/ladder.py has the bias inside the softmax,
where every expert has its part. Five seeds and ten epochs, the post's settings but for that. Written down before the
first run, with what was expected: p as it is lets the manager escape by a small p of whoever is chosen, since p
multiplies a loss here and an output there; scaled, all experts stay in use, and accuracy is that of the post.
"""

from functools import partial
from typing import Any

import torch
from protocol import BF16, EPOCHS, measures, post, train_and_measure
from torch import Tensor

from moe_lib import MixtureOfExperts
from moe_lib.records.experiment import Experiment

RUNS = [
    ({"weights": weights, "rate": rate, "top_k": 2, "epochs": EPOCHS}, seed)
    for seed in range(5)
    for weights in ("as they are", "scaled")
    for rate in (0.001, 0.01)
]


class BiasInTheChoice(MixtureOfExperts):
    """The post's mixture without a balancing term; only the experts of the top k of p + b count for an image."""

    def __init__(self, rate: float, top_k: int, scaled: bool, **parts) -> None:
        super().__init__(**parts)
        self.rate, self.top_k, self.scaled = rate, top_k, scaled
        self.register_buffer("bias", torch.zeros(self.num_experts))

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, noise: Any) -> Tensor:
        chosen = (p.detach() + self.bias).topk(self.top_k, dim=1).indices  # (B, k)
        taken = torch.zeros_like(p).scatter(1, chosen, 1.0)  # (B, E), 1 where an expert is chosen
        if self.training:
            load = taken.mean(dim=0) / self.top_k  # (E,), sums to one
            self.bias += self.rate * (1 / self.num_experts - load).sign()
        weight = p * taken
        if self.scaled:
            weight = weight / weight.sum(dim=1, keepdim=True)
        return (weight * self.experts.losses(x, y, noise)).sum(dim=1).mean()


def one(config: dict, seed: int) -> dict:
    own = {"rate": config["rate"], "top_k": config["top_k"], "scaled": config["weights"] == "scaled"}
    build = partial(post, partial(BiasInTheChoice, **own), balance=None)
    return train_and_measure(build, config["epochs"], seed, partial(measures, seed=seed), **BF16)


EXPERIMENT = Experiment(
    name="bias_in_the_choice",
    what="the post's MoE-VAE with loss-free balancing, 10 epochs; map fitted on training, scored on test images",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
