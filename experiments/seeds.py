"""How much does the post's MoE-VAE vary from seed to seed? Read by chapter 5.

    python experiments/seeds.py     about 20 minutes on 2 CPU cores; goes on where it was stopped

Five seeds for 20 epochs. Labels score the runs; they choose nothing.
"""

from protocol import train_and_measure

from moe_lib import moe_vae
from moe_lib.records.experiment import Experiment

RUNS = [({"epochs": 20}, seed) for seed in range(5)]
LOOKS = (1, 2, 3, 5, 7, 10, 14, 20)


def one(config: dict, seed: int) -> dict:
    return train_and_measure(moe_vae, config["epochs"], seed, looks=LOOKS)


EXPERIMENT = Experiment(
    name="seeds",
    what="the post's MoE-VAE over seeds; test images",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
