"""How well do ten VAEs draw that were told every digit? Read by chapters 7 and 8, to compare with.

    python experiments/told_every_digit.py      about five minutes on 2 CPU cores; goes on where it was stopped

Chapter 1's oracle, in the fast way of chapter 6: expert d learns the digit d alone, 100 epochs in batches of 10 images
of each digit, of which as many are used as there are of the rarest. What the examiner makes of its drawings, and of its
reconstructions of test images, is the ceiling.
"""

import time

import torch
from scoring import IWAE_IMAGES, IWAE_SAMPLES, test, train

from moe_lib import FixedManager, MixtureOfExperts, VAEExperts, examine, fit, iwae, load_examiner, resolve_device
from moe_lib.recipes import side_by_side
from moe_lib.results import device_name, run_all

RUNS = [({"epochs": 100}, 0)]


def one(config: dict, seed: int) -> dict:
    images = side_by_side(train.images, train.labels, num_experts=10)  # (B, E, D), each expert its own digit
    torch.manual_seed(seed)
    experts = VAEExperts(num_experts=10)
    start = time.perf_counter()
    history = fit(
        experts, images, images, epochs=config["epochs"], batch_size=10, lr=1e-3, seed=seed, device="cpu",
        precision="bf16", compile=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    examiner, rows = load_examiner(), torch.arange(len(test.labels))
    with torch.no_grad():
        losses = experts.losses(test.images, test.images)[rows, test.labels]
        reconstructed = examiner(experts.reconstruct(test.images)[rows, test.labels]).argmax(dim=1)
    drawn = examine(experts, examiner, torch.arange(10))
    anyone = MixtureOfExperts(FixedManager(lambda x: torch.zeros(len(x), dtype=torch.long), 10), experts)
    return {
        "metrics": {
            "expected": losses.mean().item(),
            "iwae": iwae(anyone, test.images[:IWAE_IMAGES], IWAE_SAMPLES),  # which no manager has a part in
            "drawn_right": drawn.accuracy,
            "drawn_digits": drawn.covered,
            "reconstructed_right": (reconstructed == test.labels).float().mean().item(),
            "train_expected": history.expected,
        },
        "seconds": seconds,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "told_every_digit",
        what="ten VAEs, each trained on the images of its own digit: what labels are worth; test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/told_every_digit.py",
        runs=RUNS,
        one=one,
    )
