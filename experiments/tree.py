"""Experts of experts: ten mixtures of three VAEs, beside flat mixtures of as many parameters. Read by chapter 9.

    python experiments/tree.py

About two hours on 2 CPU cores; goes on where it was stopped

The post's settings, ten epochs, in the fast way of chapter 6. A full collapse of the trunk, or of a flat mixture, costs
90 nats, as the post's does; that of a mixture below costs 9, because a tenth of the images reach it: n images that are
fairly drawn among K experts have a CV² of (K - 1) / n, so that chance alone costs a share 1/n of a full collapse, and
both levels pay 0.9 nats for it. With 90 nats below, too, that is 9, and the managers down there dare not choose: those
runs were the first, and are listed. In a trial with 1 nat most mixtures collapsed.

The lower managers have 16 hidden units, all ten together about as many weights as the one above; the flat ten have
experts three times as wide. More experts than ten are made ten by nearest neighbours (`group_experts`), and the tree by
its trunk. Under the trunk of chapter 8's best model, which rests, each mixture then learns from the images that it is
sent, beside one expert three times as wide. Labels score the runs; they choose nothing.
"""

from collections.abc import Callable
from functools import partial

import torch
from ladder import COLLAPSE, EPOCHS, crowd, post
from scoring import agreement, measure, portrait, sevens_by, test, train, train_and_score

from moe_lib import (
    Experts,
    ImportanceCV2,
    Managers,
    MixtureOfExperts,
    Mixtures,
    VAEExperts,
    fit_own,
    flattened,
    load_pretrained,
    resolve_device,
)
from moe_lib.results import device_name, run_all

FAST = {"device": "cpu", "precision": "bf16", "compile": True}
MODELS: dict[str, Callable[[], MixtureOfExperts]] = {
    "flat 10": lambda: post(experts=VAEExperts(10, hidden=(384,))),
    "flat 30": lambda: crowd(30),
    "tree 10 x 3": lambda: post(experts=mixtures(3, COLLAPSE / 10)),
    "tree 10 x 3, strict": lambda: post(experts=mixtures(3, COLLAPSE)),
    "flat 20": lambda: crowd(20),
    "flat 50": lambda: crowd(50),
}
OWN: dict[str, Callable[[], Experts]] = {
    "trunk, 10": lambda: VAEExperts(10, hidden=(384,)),
    "trunk, 10 x 3": lambda: mixtures(3, COLLAPSE / 10),
}
COMPARED, OTHERS = ("flat 10", "flat 30", "tree 10 x 3", "tree 10 x 3, strict"), ("flat 20", "flat 50")
RUNS = [({"model": name, "epochs": EPOCHS}, seed) for seed in range(5) for name in COMPARED]
RUNS += [({"model": name, "epochs": 20}, seed) for seed in range(5) for name in OWN]
RUNS += [({"model": name, "epochs": EPOCHS}, seed) for seed in range(3) for name in OTHERS]


def mixtures(each: int, collapse: float) -> Mixtures:
    """Ten mixtures of VAEs; a full collapse of one costs so many nats for each image that reaches it."""
    balance = ImportanceCV2(collapse / (each - 1))  # a collapsed mixture of K has a CV² of K - 1
    return Mixtures(Managers(10, 784, each, hidden=(16,)), VAEExperts(10 * each), balance)


def measures(model: MixtureOfExperts, seed: int) -> dict:
    """All of `measure` from the leaves; how the trunk alone sorts; where the sevens are; of seed 0 a portrait."""
    leaves = flattened(model)
    groups = {}
    if isinstance(model.experts, Mixtures):
        groups = {"trunk": agreement(*(model.assign(half.images)[:, 0] for half in (train, test)))}
    return {
        **measure(leaves),
        **groups,
        "sevens": sevens_by(leaves.assign(test.images), leaves.num_experts),
        "parameters": sum(p.numel() for p in model.parameters()),
        **(portrait(leaves) if seed == 0 else {}),
    }


def under_the_trunk(config: dict, seed: int) -> dict:
    """New experts under the manager of chapter 8's best model, each learning from what it is sent."""
    torch.manual_seed(seed)
    best = load_pretrained()
    best.experts = OWN[config["model"]]()
    history = fit_own(best, train.images, seed, config["epochs"], **FAST)
    return {
        "metrics": {**measures(best, seed), "train_expected": history.expected},
        "seconds": sum(history.seconds),
        "device": device_name(resolve_device("cpu")),
    }


def one(config: dict, seed: int) -> dict:
    if config["model"] in OWN:
        return under_the_trunk(config, seed)
    build = MODELS[config["model"]]
    return train_and_score(build, config["epochs"], seed, measures=partial(measures, seed=seed), **FAST)


if __name__ == "__main__":
    run_all(
        "tree",
        what="mixtures of mixtures of VAEs and flat ones; map fitted on training, scored on test images",
        unit="nats per image; shares in [0, 1]; sevens: how many of those with a bar, and without, each leaf gets",
        code="experiments/tree.py",
        runs=RUNS,
        one=one,
    )
