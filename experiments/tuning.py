"""Would other settings have helped rungs 2 to 5 of the ladder? Read by chapter 8.

    python experiments/tuning.py

About two hours on one CPU core; goes on where it was stopped

Five seeds and ten epochs each, as in experiments/ladder.py, which has the first setting of every rung. All runs are
reported. Where a choice among settings is shown, it is the one whose experts' training loss is lowest, on average over
its seeds, in the last epoch: no label. (Of different latents or σ losses do not compare, and nothing is chosen.) The
list was written down before its first run.
"""

import math
from collections.abc import Callable
from functools import partial

from protocol import EPOCHS, FAST, measures, post, train_and_measure

from moe_lib import ImportanceVariance, Information, Manager, MixtureOfExperts, SwitchBalance, VAEExperts, moe_vae
from moe_lib.ladder import (
    AnnealedManager,
    BiasedManager,
    ConvManager,
    Floor,
    GateKL,
    LikelihoodMixture,
    SinkhornManager,
    SumOf,
)
from moe_lib.records.experiment import Experiment

STEPS = EPOCHS * 60_000 // 100
RUNGS: dict[str, Callable[[float], MixtureOfExperts]] = {
    "post, weight": lambda w: post(balance=ImportanceVariance(w)),
    "elbo and balance, weight": lambda w: post(balance=SumOf(ImportanceVariance(w), GateKL(1.0))),
    "likelihood, weight": lambda w: post(LikelihoodMixture, balance=ImportanceVariance(w)),
    "switch, nats of a collapse": lambda n: post(balance=SwitchBalance(n / 9)),
    "floor, nats of a collapse": lambda n: post(balance=Floor(n / (9 * 0.05), share=0.05)),
    "information, nats of a collapse": lambda n: post(balance=Information(n / math.log(10))),
    "bias, rate": lambda u: post(manager=BiasedManager(Manager(784, 10), rate=u), balance=None),
    "sinkhorn, rounds": lambda n: post(manager=SinkhornManager(Manager(784, 10), rounds=int(n)), balance=None),
    "annealing, start": lambda t: post(manager=AnnealedManager(Manager(784, 10), start=t, steps=STEPS)),
    "latent": lambda z: moe_vae(latent=int(z)),
    "std": lambda sd: moe_vae(decoder_std=sd),
    "post, rate": lambda _: moe_vae(),
    "relu, rate": lambda _: post(experts=VAEExperts(10, activation="relu")),
    "conv manager, rate": lambda _: post(manager=ConvManager(10)),
}
VALUES = {
    "weight": (0.03, 0.3), "nats of a collapse": (30.0, 270.0), "rate": (3e-4, 3e-3), "rounds": (2, 20),
    "start": (2.0, 20.0), "latent": (4,), "std": (0.4, 0.7),
}  # fmt: skip
OWN = {"bias, rate": (0.001, 0.1)}  # logits per batch
RUNS = [
    ({"rung": rung, "value": value, "epochs": EPOCHS}, seed)
    for seed in range(5)
    for rung in RUNGS
    for value in OWN.get(rung, VALUES[rung.rpartition(", ")[2]])
]


def one(config: dict, seed: int) -> dict:
    rung, value = config["rung"], config["value"]
    rate = {"lr": value} if rung.endswith("rate") and rung not in OWN else {}
    build = partial(RUNGS[rung], value)
    return train_and_measure(build, config["epochs"], seed, partial(measures, seed=seed), **FAST, **rate)


EXPERIMENT = Experiment(
    name="tuning",
    what="rungs 2 to 5 with other settings, after 10 epochs; map fitted on training, scored on test images",
    unit="nats per image; shares in [0, 1]; losses of different latent, std or objective do not compare",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
