"""Do several managers sort better together than one? No chapter reads it yet.

    python experiments/committee.py      about four minutes, once the members are there

The members are the runs of experiments/invariance.py; one whose weights are not kept is trained first, some twenty
minutes. Managers of different runs number their experts differently. Each is renumbered so that it agrees with the
first one on as many training images as possible, which needs no label; then their probabilities are averaged.
"""

import time
from collections.abc import Sequence

import torch
from protocol import digits, kept_best
from torch import Tensor

from moe_lib import match_experts
from moe_lib.ladder import InvariantMixture
from moe_lib.measures import agreement
from moe_lib.records.experiment import Experiment, outcome

RUNS = [({"members": 3}, 0), ({"members": 3}, 1), ({"members": 3}, 2)]
RUNS += [({"members": 5}, 0), ({"members": 5}, 1), ({"members": 10}, 0)]


@torch.no_grad()
def gates(model: InvariantMixture) -> tuple[Tensor, Tensor]:
    """p of all training and of all test images, (B, E) each."""
    return tuple(torch.cat([model.gate(some) for some in part.images.split(1000)]) for part in digits("raw"))


def averaged(models: Sequence[InvariantMixture]) -> tuple[Tensor, Tensor]:
    """The mean of their p, on training and on test images, each manager renumbered like the first."""
    every = [gates(model) for model in models]
    found = [p.argmax(dim=1) for p, _ in every]
    orders = [match_experts(assigned, found[0], num_experts=10).argsort() for assigned in found]
    return tuple(
        torch.stack([p[part][:, order] for p, order in zip(every, orders, strict=True)]).mean(dim=0) for part in (0, 1)
    )


def one(config: dict, seed: int) -> dict:
    """Group `seed` of as many runs as there are members: the runs with these seeds, one after the other."""
    (train, test), members = digits("raw"), config["members"]
    models = [kept_best(run) for run in range(seed * members, (seed + 1) * members)]
    start = time.perf_counter()
    found_train, found_test = (p.argmax(dim=1) for p in averaged(models))
    metrics = agreement(found_train, train.labels, found_test, test.labels)
    return outcome(metrics, time.perf_counter() - start)


EXPERIMENT = Experiment(
    name="committee",
    what="several managers of the best rung, averaged; map fitted on training, scored on test images",
    unit="shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
