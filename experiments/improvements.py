"""Do weaker or stricter experts sort digits better than the post's? Read by chapter 5.

    python experiments/improvements.py     about 12 minutes on 2 CPU cores; goes on where it was stopped

Two single changes to the post's MoE-VAE, named before they were run, for 10 epochs over three seeds; compared with the
same seeds of experiments/seeds.py at the same epoch. Labels score the runs; they choose nothing.
"""

import torch
from scoring import score

from moe_lib import fit, mnist, moe_vae, resolve_device
from moe_lib.results import device_name, run_all

CHANGES = ({"latent": 4}, {"decoder_std": 0.3})
EPOCHS = 10

train, test = mnist()


def one(config: dict, seed: int) -> dict:
    torch.manual_seed(seed)
    model = moe_vae(**config["change"])
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
        "improvements",
        what="the post's MoE-VAE with one change, after 10 epochs; test images",
        unit="nats per image; shares in [0, 1]; losses of different latent or std do not compare",
        code="experiments/improvements.py",
        runs=[({"change": change, "epochs": EPOCHS}, seed) for change in CHANGES for seed in range(3)],
        one=one,
    )
