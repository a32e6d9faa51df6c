"""Do weaker or stricter experts sort digits better than the post's? Read by chapter 5.

    python experiments/improvements.py     about 12 minutes on 2 CPU cores; goes on where it was stopped

Two single changes to the post's MoE-VAE, named before they were run, for 10 epochs over three seeds; compared with the
same seeds of experiments/seeds.py at the same epoch. Labels score the runs; they choose nothing.
"""

from protocol import train_and_measure

from moe_lib import moe_vae
from moe_lib.records.experiment import Experiment

CHANGES = ({"latent": 4}, {"decoder_std": 0.3})
RUNS = [({"change": change, "epochs": 10}, seed) for change in CHANGES for seed in range(3)]


def one(config: dict, seed: int) -> dict:
    return train_and_measure(lambda: moe_vae(**config["change"]), config["epochs"], seed)


EXPERIMENT = Experiment(
    name="improvements",
    what="the post's MoE-VAE with one change, after 10 epochs; test images",
    unit="nats per image; shares in [0, 1]; losses of different latent or std do not compare",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
