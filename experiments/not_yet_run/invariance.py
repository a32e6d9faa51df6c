"""A manager that is not swayed by small changes: the last rungs of the ladder. Read by chapter 8.

    PYTHONPATH=experiments python experiments/not_yet_run/invariance.py

About an hour and a half on 2 CPU cores; goes on where it was stopped

Each run: four starts of one epoch, of which the information of the training images chooses one, and 15 epochs. The best
rung over ten seeds; what it is made of, taken away piece by piece, over five. The run of the best rung with the lowest
training loss gives the weights that travel in moe_lib/weights. Labels only score these runs; but the strengths of
the changes, the rates and the number of neighbours were found in trials whose accuracies we saw.
"""

import time
from functools import cache
from pathlib import Path

from scoring import measure, train
from torch import Tensor

from moe_lib import Augmentation, fit_invariant, invariant_vae, load_results, neighbours, relatives, resolve_device
from moe_lib.pretrained import load_weights, save_weights
from moe_lib.results import device_name, run_all

KEPT = Path(__file__).parent / "weights"  # of every run of the best rung; not in the repository
BEST = {"starts": 4, "epochs": 15, "augmentation": {}, "neighbours": 5}
NO_ERASING = {"erase": 0.0}
RUNS = [(BEST, seed) for seed in range(10)]
RUNS += [(BEST | {"neighbours": 0}, seed) for seed in range(5)]
RUNS += [(BEST | {"augmentation": NO_ERASING}, seed) for seed in range(5)]


@cache
def nearest() -> Tensor:
    return neighbours(train.images, k=5)


def one(config: dict, seed: int) -> dict:
    start = time.perf_counter()
    pairs = (
        relatives(train.images, nearest()[:, : config["neighbours"]], seed) if config["neighbours"] else train.images
    )
    augmentation = Augmentation(**config["augmentation"])
    model, history = fit_invariant(
        train.images, pairs, seed, config["epochs"], config["starts"], augmentation, device="cpu", precision="bf16"
    )
    seconds = time.perf_counter() - start
    if config == BEST:
        save_weights(model, f"best-{seed}", KEPT)
    return {
        "metrics": {
            **measure(model),
            "train_total": history.total,
            "train_consistency": model.consistency(train.images, pairs),
        },
        "seconds": seconds,
        "device": device_name(resolve_device("cpu")),
    }


def publish() -> None:
    """Puts the weights of the run with the lowest training loss where `load_pretrained` finds them."""
    runs = [run for run in load_results("invariance")["runs"] if run["config"] == BEST and run["metrics"]]
    best = min(runs, key=lambda run: run["metrics"]["train_total"][-1])
    save_weights(load_weights(invariant_vae(), f"best-{best['seed']}", KEPT), "best")


if __name__ == "__main__":
    run_all(
        "invariance",
        what="VAEs with a manager that small changes do not sway; map fitted on training, scored on test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/invariance.py",
        runs=RUNS,
        one=one,
    )
    publish()
