"""Do several managers sort better together than one? Read by chapter 8.

    python experiments/invariance.py, then python experiments/votes.py      about four minutes

Managers of different runs number their experts differently. Each is renumbered so that it agrees with the first one on
as many training images as possible, which needs no label; then their probabilities are averaged.
"""

import time
from collections.abc import Sequence

import torch
from invariance import KEPT
from scoring import agreement, test, train
from torch import Tensor

from moe_lib import InvariantMixture, invariant_vae, match_experts, resolve_device
from moe_lib.pretrained import load_weights
from moe_lib.results import device_name, run_all

RUNS = [({"voters": 3}, 0), ({"voters": 3}, 1), ({"voters": 3}, 2)]
RUNS += [({"voters": 5}, 0), ({"voters": 5}, 1), ({"voters": 10}, 0)]


@torch.no_grad()
def gates(model: InvariantMixture) -> tuple[Tensor, Tensor]:
    """p of all training and of all test images, (B, E) each."""
    return tuple(torch.cat([model.gate(part) for part in images.split(1000)]) for images in (train.images, test.images))


def averaged(models: Sequence[InvariantMixture]) -> tuple[Tensor, Tensor]:
    """The mean of their p, on training and on test images, each manager renumbered like the first."""
    every = [gates(model) for model in models]
    found = [p.argmax(dim=1) for p, _ in every]
    orders = [match_experts(own, found[0], num_experts=10).argsort() for own in found]
    return tuple(
        torch.stack([p[part][:, order] for p, order in zip(every, orders, strict=True)]).mean(dim=0) for part in (0, 1)
    )


def one(config: dict, seed: int) -> dict:
    """Group `seed` of as many runs as there are voters: the runs with these seeds, one after the other."""
    start, voters = time.perf_counter(), config["voters"]
    models = [load_weights(invariant_vae(), f"best-{run}", KEPT) for run in range(seed * voters, (seed + 1) * voters)]
    found = (p.argmax(dim=1) for p in averaged(models))
    return {
        "metrics": agreement(*found),
        "seconds": time.perf_counter() - start,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "votes",
        what="several managers of the best rung, averaged; map fitted on training, scored on test images",
        unit="shares in [0, 1]",
        code="experiments/votes.py",
        runs=RUNS,
        one=one,
    )
