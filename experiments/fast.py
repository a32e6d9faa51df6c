"""Is fast as good? Five seeds of 20 epochs in bfloat16 and compiled, and three with two experts an image.

    python experiments/fast.py        about ten minutes on two cores; goes on where it was stopped

The same seeds in float32 are those of experiments/seeds.py. Writes book/results/fast.json, which chapter 6 reads.
"""

from protocol import FAST, NAMES, post, train_and_measure

from moe_lib import moe_vae
from moe_lib.records.experiment import Experiment
from moe_lib.scaling import SparseMixture

BUILD = {"fast": moe_vae, "top-2": lambda: post(SparseMixture, top_k=2)}
OPTIONS = {"fast": FAST, "top-2": {}}
SEEDS = {"fast": range(5), "top-2": range(3)}
RUNS = [({"way": way, "epochs": 20}, seed) for way in BUILD for seed in SEEDS[way]]


def one(config: dict, seed: int) -> dict:
    return train_and_measure(BUILD[config["way"]], config["epochs"], seed, **OPTIONS[config["way"]])


EXPERIMENT = Experiment(
    name="fast",
    what="the post's MoE-VAE, computed faster, over seeds; test images",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
    note=NAMES,
)

if __name__ == "__main__":
    EXPERIMENT.run()
