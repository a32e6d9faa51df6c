"""A manager that is not swayed by small changes: the last rungs of the ladder. Read by chapter 8.

    python experiments/invariance.py      about an hour and a half on 2 CPU cores; goes on where it was stopped

Each run: four starts of one epoch, of which the information of the training images chooses one, and 15 epochs. The best
rung over ten seeds; what it is made of, taken away piece by piece, over five. The run of the best rung with the lowest
training loss gives the weights that travel in moe_lib/pretrained. Labels only score these runs; but the strengths of
the changes, the rates and the number of neighbours were found in trials whose accuracies we saw.
"""

import time
import warnings

from scoring import measure, train

from moe_lib import Augmentation, fit_invariant, load_results, neighbours, relatives, resolve_device
from moe_lib.pretrained import save_weights
from moe_lib.results import device_name, run_all

warnings.simplefilter("error", UserWarning)  # a machine that has no bfloat16 must not pretend
NO_ERASING = {"erase": 0.0}
BEST = {"starts": 4, "epochs": 15, "augmentation": {}, "neighbours": 5}
RUNS = [(BEST, seed) for seed in range(10)]
RUNS += [(BEST | {"neighbours": 0}, seed) for seed in range(5)]
RUNS += [(BEST | {"augmentation": NO_ERASING}, seed) for seed in range(5)]
nearest = neighbours(train.images, k=5)


def one(config: dict, seed: int) -> dict:
    start = time.perf_counter()
    pairs = relatives(train.images, nearest[:, : config["neighbours"]], seed) if config["neighbours"] else train.images
    model, history = fit_invariant(
        train.images,
        pairs,
        seed,
        epochs=config["epochs"],
        starts=config["starts"],
        augmentation=Augmentation(**config["augmentation"]),
        precision="bf16",
        progress=False,
    )
    seconds = time.perf_counter() - start
    if config == BEST and is_best(history.total[-1]):
        save_weights(model, "best")
    return {
        "metrics": {
            **measure(model),
            "train_total": history.total,
            "train_information": model.information(train.images, pairs),
        },
        "seconds": seconds,
        "device": device_name(resolve_device()),
    }


def is_best(total: float) -> bool:
    """Whether no run of the best rung so far ended with a lower training loss."""
    try:
        runs = load_results("invariance")["runs"]
    except FileNotFoundError:
        return True
    return all(total <= run["metrics"]["train_total"][-1] for run in runs if run["config"] == BEST)


if __name__ == "__main__":
    run_all(
        "invariance",
        what="VAEs with a manager that small changes do not sway; map fitted on training, scored on test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/invariance.py",
        runs=RUNS,
        one=one,
    )
