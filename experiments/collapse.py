"""How often does the manager collapse, and what does the weight of the balancing term change? Read by chapter 4.

    python experiments/collapse.py      about 25 minutes on 2 CPU cores; goes on where it was stopped

The post's model (chapter 5) for three epochs: ten seeds without and ten with its balancing term, three for each other
weight. Labels score the runs; they choose nothing.
"""

import torch
from scoring import score

from moe_lib import ImportanceVariance, fit, mnist, moe_vae, resolve_device
from moe_lib.results import device_name, run_all

WEIGHTS = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
RUNS = [
    ({"weight": weight, "epochs": 3}, seed) for weight in WEIGHTS for seed in range(10 if weight in (0.0, 0.1) else 3)
]

train, test = mnist()


def one(config: dict, seed: int) -> dict:
    torch.manual_seed(seed)
    model = moe_vae(balance=ImportanceVariance(config["weight"]))
    history = fit(
        model, train.images, train.images, epochs=config["epochs"], batch_size=100, lr=1e-3, seed=seed, progress=False
    )
    return {
        "metrics": {**score(model, test), "train_expected": history.expected},
        "seconds": sum(history.seconds),
        "device": device_name(resolve_device()),
    }


if __name__ == "__main__":
    run_all(
        "collapse",
        what="the post's MoE-VAE after 3 epochs, by weight of the balancing term; test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/collapse.py",
        runs=RUNS,
        one=one,
    )
