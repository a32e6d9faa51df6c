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
from protocol import COLLAPSE, EPOCHS, FAST, crowd, digits, measures, post, train_and_measure

from moe_lib import Experts, ImportanceCV2, MixtureOfExperts, VAEExperts
from moe_lib.ladder import (
    MixtureExperts,
    MixtureTree,
    StackedManagers,
    finetune_experts,
    flattened,
    load_pretrained,
    sevens,
)
from moe_lib.measures import agreement, barred_sevens_by
from moe_lib.records.experiment import Experiment, outcome

MODELS: dict[str, Callable[[], MixtureOfExperts]] = {
    "flat 10": lambda: post(experts=VAEExperts(10, hidden=(384,))),
    "flat 30": lambda: crowd(30),
    "tree 10 x 3": lambda: post(MixtureTree, experts=mixtures(3, COLLAPSE / 10)),
    "tree 10 x 3, strict": lambda: post(MixtureTree, experts=mixtures(3, COLLAPSE)),
    "flat 20": lambda: crowd(20),
    "flat 50": lambda: crowd(50),
}
BELOW: dict[str, Callable[[], Experts]] = {  # the trunk, which rests
    "trunk, 10": lambda: VAEExperts(10, hidden=(384,)),
    "trunk, 10 x 3": lambda: mixtures(3, COLLAPSE / 10),
}
COMPARED, OTHERS = ("flat 10", "flat 30", "tree 10 x 3", "tree 10 x 3, strict"), ("flat 20", "flat 50")
RUNS = [({"model": name, "epochs": EPOCHS}, seed) for seed in range(5) for name in COMPARED]
RUNS += [({"model": name, "epochs": 20}, seed) for seed in range(5) for name in BELOW]
RUNS += [({"model": name, "epochs": EPOCHS}, seed) for seed in range(3) for name in OTHERS]


def mixtures(each: int, collapse: float) -> MixtureExperts:
    """Ten mixtures of VAEs; a full collapse of one costs so many nats for each image that reaches it."""
    balance = ImportanceCV2(collapse / (each - 1))  # a collapsed mixture of K has a CV² of K - 1
    return MixtureExperts(StackedManagers(10, 784, each, hidden=(16,)), VAEExperts(10 * each), balance)


def of_leaves(model: MixtureOfExperts, seed: int) -> dict:
    """All of `measures` from the leaves; how the trunk alone sorts; and where the sevens are."""
    (train, test), leaves = digits("raw"), flattened(model)
    trunk = {}
    if isinstance(model.experts, MixtureExperts):
        found_train, found_test = (model.assign(part.images) for part in (train, test))
        trunk = {"trunk": agreement(found_train, train.labels, found_test, test.labels)}
    return {
        **measures(leaves, seed),
        **trunk,
        "sevens": barred_sevens_by(leaves.assign(test.images), sevens()._asdict(), leaves.num_experts),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def under_the_trunk(config: dict, seed: int) -> dict:
    """New experts under the manager of chapter 8's best model, each learning from what it is sent."""
    torch.manual_seed(seed)
    best = load_pretrained()
    best.experts = BELOW[config["model"]]()
    history = finetune_experts(best, digits("raw")[0].images, seed, config["epochs"], **FAST)
    metrics = {**of_leaves(best, seed), "train_expected": history.expected}
    return outcome(metrics, sum(history.seconds), "bf16")


def one(config: dict, seed: int) -> dict:
    if config["model"] in BELOW:
        return under_the_trunk(config, seed)
    return train_and_measure(MODELS[config["model"]], config["epochs"], seed, partial(of_leaves, seed=seed), **FAST)


EXPERIMENT = Experiment(
    name="tree",
    what="mixtures of mixtures of VAEs and flat ones; map fitted on training, scored on test images",
    unit="nats per image; shares in [0, 1]; sevens: how many of those with a bar, and without, each leaf gets",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
