"""How much does the post's MoE-VAE vary from seed to seed? Read by chapter 5.

    python experiments/seeds.py     about 20 minutes on 2 CPU cores; goes on where it was stopped

Five seeds for 20 epochs. Labels score the runs; they choose nothing.
"""

import torch
from scoring import score

from moe_lib import clustering_accuracy, fit, mnist, moe_vae, resolve_device
from moe_lib.results import device_name, run_all

EPOCHS = 20
LOOKS = (1, 2, 3, 5, 7, 10, 14, 20)

train, test = mnist()


def one(config: dict, seed: int) -> dict:
    torch.manual_seed(seed)
    model = moe_vae()
    accuracy_by_epoch = {}

    def look(epoch: int) -> None:
        if epoch in LOOKS:
            assignments = model.assign(test.images.to(next(model.parameters()).device)).cpu()
            accuracy_by_epoch[str(epoch)] = clustering_accuracy(assignments, test.labels)

    history = fit(
        model, train.images, train.images, epochs=config["epochs"], batch_size=100, lr=1e-3, seed=seed, progress=False,
        on_epoch=look,
    )  # fmt: skip
    return {
        "metrics": {
            **score(model, test),
            "accuracy_by_epoch": accuracy_by_epoch,
            "train_expected": history.expected,
        },
        "seconds": sum(history.seconds),
        "device": device_name(resolve_device()),
    }


if __name__ == "__main__":
    run_all(
        "seeds",
        what="the post's MoE-VAE over seeds; test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/seeds.py",
        runs=[({"epochs": EPOCHS}, seed) for seed in range(5)],
        one=one,
    )
