"""How good is the post's MoE-VAE, and how often? Read by chapter 7.

    python experiments/post_seeds.py      about 50 minutes on 2 CPU cores; goes on where it was stopped

Ten seeds of 100 epochs, as the post trains it, in the fast way of chapter 6. Labels score the runs; they choose
nothing.
"""

from functools import partial

from protocol import FAST, measures, train_and_measure

from moe_lib import moe_vae
from moe_lib.records.experiment import Experiment

RUNS = [({"epochs": 100}, seed) for seed in range(10)]
LOOKS = (1, 2, 3, 5, 10, 20, 30, 50, 70, 100)


def one(config: dict, seed: int) -> dict:
    return train_and_measure(moe_vae, config["epochs"], seed, partial(measures, seed=seed), looks=LOOKS, **FAST)


EXPERIMENT = Experiment(
    name="post_seeds",
    what="the post's MoE-VAE after 100 epochs; map fitted on training, scored on test images; IWAE: the first 200",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
