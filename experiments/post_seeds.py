"""How good is the post's MoE-VAE, and how often? Read by chapter 7.

    python experiments/post_seeds.py      about 50 minutes on 2 CPU cores; goes on where it was stopped

Ten seeds of 100 epochs, as the post trains it, in the fast way of chapter 6. Labels score the runs; they choose
nothing.
"""

from scoring import accuracy_at, agreement, measure, test, train, train_and_score

from moe_lib import MixtureOfExperts, moe_vae
from moe_lib.results import run_all

RUNS = [({"epochs": 100}, seed) for seed in range(10)]
LOOKS = (1, 2, 3, 5, 10, 20, 30, 50, 70, 100)


def accuracy(model: MixtureOfExperts) -> float:
    return agreement(model.assign(train.images), model.assign(test.images))["accuracy"]


def one(config: dict, seed: int) -> dict:
    accuracy_by_epoch, watch = accuracy_at(LOOKS, accuracy)
    run = train_and_score(moe_vae, config["epochs"], seed, watch, measure, device="cpu", precision="bf16", compile=True)
    run["metrics"]["accuracy_by_epoch"] = accuracy_by_epoch
    return run


if __name__ == "__main__":
    run_all(
        "post_seeds",
        what="the post's MoE-VAE after 100 epochs; map fitted on training, scored on test images; IWAE: the first 200",
        unit="nats per image; shares in [0, 1]",
        code="experiments/post_seeds.py",
        runs=RUNS,
        one=one,
    )
