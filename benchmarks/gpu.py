"""A hundred epochs of the post's model on a GPU, in four ways: how long, and how well?

    python -m benchmarks.gpu      about seven minutes; writes book/results/gpu.json

Chapter 5's run, with its seed, images and settings; and 15 epochs of it in each of four ways. The names of experts are
fitted on the training images and scored on the test images; labels choose nothing. The first epoch of a compiled way
holds the compiling.
"""

import statistics
import sys

import torch

from moe_lib import evaluate, fit, match_experts, mnist, moe_vae
from moe_lib.records.results import device_name, save_results
from moe_lib.scaling import compiled_step
from moe_lib.training import resolve_device

WAYS = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "fp32-compiled": {"step": compiled_step},
    "bf16-compiled": {"precision": "bf16", "step": compiled_step},
}
RUNS = [("fp32", 100), *((way, 15) for way in WAYS)]


def run(way: str, epochs: int, seed: int = 1) -> dict:
    """One training run, scored."""
    train, test = mnist()
    torch.manual_seed(seed)
    model = moe_vae()
    images = train.images
    history = fit(model, images, images, epochs=epochs, batch_size=100, lr=1e-3, seed=seed, progress=False, **WAYS[way])
    match = match_experts(model.assign(images), train.labels)
    result = evaluate(model, test.images, test.images)
    return {
        "seed": seed,
        "config": {"way": way, "epochs": epochs},
        "metrics": {
            "accuracy": (match[result.assignments] == test.labels).float().mean().item(),
            "expected": result.expected,
            "train_expected": history.expected[-1],
            "first_epoch_seconds": history.seconds[0],
            "epoch_seconds": statistics.median(history.seconds),
        },
        "seconds": sum(history.seconds),
        "device": device_name(resolve_device()),
        "precision": way.split("-")[0],
    }


def main() -> None:
    if resolve_device().type == "cpu":
        sys.exit("this machine has no GPU; `make bench` measures its processor")
    runs = []
    for way, epochs in RUNS:
        runs.append(run(way, epochs))
        print(runs[-1], flush=True)
        what = (
            "chapter 5's run on a GPU, and 15 epochs of it in four ways; map fitted on training, scored on test images"
        )
        save_results("gpu", what, "nats per image; share in [0, 1]; seconds", runs, code="benchmarks/gpu.py")


if __name__ == "__main__":
    main()
