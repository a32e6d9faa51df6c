"""A manager that is not swayed by small changes: alone, and with all that helps.

    python experiments/invariance.py

About two hours on 2 CPU cores; goes on where it was stopped. The weights of the runs are kept beside this file, not in
the repository: where they are missing, delete book/results/invariance.json and run it again.

Each run: four starts of one epoch, of which the information of the training images chooses one; 20 epochs with the
stronger changes and with neighbours, five without neighbours, and 40 in which the manager rests and the experts go on
with what they are sent. This over ten seeds; and over five the same start with ten epochs without neighbours and
nothing more. The run whose loss was lowest in the last epoch with the manager gives the weights that travel in
moe_lib/weights. Labels only score these runs; but the strengths of the changes, the rates, the epochs and the number of
neighbours were found in trials whose accuracies we saw. The seconds include the looks at the model between epochs.
"""

import time
from pathlib import Path

from scoring import accuracy_at, agreement, measure, nearest, portrait, test, train

from moe_lib import (
    Augmentation,
    InvariantMixture,
    fit_invariant,
    fit_own,
    invariant_vae,
    load_results,
    relatives,
    resolve_device,
)
from moe_lib.pretrained import load_weights, save_weights
from moe_lib.results import device_name, run_all

KEPT = Path(__file__).parent / "weights"  # of every run of the best rung; not in the repository
FAST = {"device": "cpu", "precision": "bf16"}
BEST = {"starts": 4, "epochs": 20, "settle": 5, "own": 40, "neighbours": 5, "erase": 0.7}
PLAIN = {"starts": 4, "epochs": 10, "settle": 0, "own": 0, "neighbours": 0, "erase": 0.7}
RUNS = [(BEST, seed) for seed in range(10)]
RUNS += [(PLAIN, seed) for seed in range(5)]


def accuracy(model: InvariantMixture) -> float:
    return agreement(model.assign(train.images), model.assign(test.images))["accuracy"]


def one(config: dict, seed: int) -> dict:
    k = config["neighbours"]
    pairs = relatives(train.images, nearest()[:, :k], seed) if k else train.images
    start = time.perf_counter()
    by_epoch, watch = accuracy_at((0, 1, 2, 5, 10, 15, 20), accuracy)
    stages = {name: config[name] for name in ("starts", "epochs", "settle")}
    augmentation = Augmentation(erase=config["erase"])
    model, history = fit_invariant(
        train.images, pairs, seed, **stages, augmentation=augmentation, on_epoch=watch, **FAST
    )
    if config["own"]:
        fit_own(model, train.images, seed, epochs=config["own"], compile=True, **FAST)
    seconds = time.perf_counter() - start
    if config == BEST:
        save_weights(model, f"best-{seed}", KEPT)
    return {
        "metrics": {
            **measure(model),
            "accuracy_by_epoch": by_epoch,
            "train_total": history.total,
            "train_consistency": model.consistency(train.images, train.images),
            **(portrait(model) if seed == 0 else {}),
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
