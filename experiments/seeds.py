"""How much does the post's MoE-VAE vary from seed to seed? Read by chapter 5.

    python experiments/seeds.py     about 20 minutes on 2 CPU cores; goes on where it was stopped

Five seeds for 20 epochs. Labels score the runs; they choose nothing.
"""

from scoring import accuracy_at, test, train_and_score

from moe_lib import MixtureOfExperts, clustering_accuracy, moe_vae
from moe_lib.results import run_all

RUNS = [({"epochs": 20}, seed) for seed in range(5)]
LOOKS = (1, 2, 3, 5, 7, 10, 14, 20)


def accuracy(model: MixtureOfExperts) -> float:
    images = test.images.to(next(model.parameters()).device)
    return clustering_accuracy(model.assign(images).cpu(), test.labels)


def one(config: dict, seed: int) -> dict:
    accuracy_by_epoch, watch = accuracy_at(LOOKS, accuracy)
    run = train_and_score(moe_vae, config["epochs"], seed, watch)
    run["metrics"]["accuracy_by_epoch"] = accuracy_by_epoch
    return run


if __name__ == "__main__":
    run_all(
        "seeds",
        what="the post's MoE-VAE over seeds; test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/seeds.py",
        runs=RUNS,
        one=one,
    )
