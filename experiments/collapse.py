"""How often does the manager collapse, and what does the weight of the balancing term change? Read by chapter 4.

    python experiments/collapse.py      about 25 minutes on 2 CPU cores; goes on where it was stopped

The post's model (chapter 5) for three epochs: ten seeds without and ten with its balancing term, three for each other
weight. Labels score the runs; they choose nothing.
"""

from protocol import train_and_measure

from moe_lib import ImportanceVariance, moe_vae
from moe_lib.records.experiment import Experiment

WEIGHTS = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
RUNS = [
    ({"weight": weight, "epochs": 3}, seed) for weight in WEIGHTS for seed in range(10 if weight in (0.0, 0.1) else 3)
]


def one(config: dict, seed: int) -> dict:
    return train_and_measure(lambda: moe_vae(balance=ImportanceVariance(config["weight"])), config["epochs"], seed)


EXPERIMENT = Experiment(
    name="collapse",
    what="the post's MoE-VAE after 3 epochs, by weight of the balancing term; test images",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
