"""How good is the post's MoE-VAE, and how often? Read by chapter 7.

    python experiments/post.py      about 50 minutes on 2 CPU cores; goes on where it was stopped

Ten seeds of 100 epochs, as the post trains it, in the fast way of chapter 6. Labels score the runs; they choose
nothing.
"""

import time
import warnings

import torch
from scoring import agreement, measure, test, train

from moe_lib import MixtureOfExperts, fit, moe_vae, resolve_device
from moe_lib.results import device_name, run_all

RUNS = [({"epochs": 100}, seed) for seed in range(10)]
LOOKS = (1, 2, 3, 5, 10, 20, 30, 50, 70, 100)
warnings.simplefilter("error", UserWarning)  # a machine that cannot compile, or has no bfloat16, must not pretend


def one(config: dict, seed: int) -> dict:
    accuracy_by_epoch = {}

    def watch(epoch: int, model: MixtureOfExperts) -> None:
        if epoch in LOOKS:
            accuracy_by_epoch[str(epoch)] = agreement(model.assign(train.images), model.assign(test.images))["accuracy"]

    torch.manual_seed(seed)
    model = moe_vae()
    start = time.perf_counter()
    history = fit(
        model, train.images, train.images, epochs=config["epochs"], batch_size=100, lr=1e-3, seed=seed, device="cpu",
        precision="bf16", compile=True, on_epoch=watch,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    return {
        "metrics": {**measure(model), "train_expected": history.expected, "accuracy_by_epoch": accuracy_by_epoch},
        "seconds": seconds,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "post",
        what="the post's MoE-VAE after 100 epochs, over seeds; map fitted on training images, scored on test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/post.py",
        runs=RUNS,
        one=one,
    )
