"""A manager that small changes do not sway: alone, and with all that helps. Read by chapter 8.

    python experiments/invariance.py

About two hours on 2 CPU cores; goes on where it was stopped. The weights of the runs are kept beside this file, not in
the repository.

Each run: four starts of one epoch, of which the information of the training images chooses one; 20 epochs with the
stronger changes and with neighbours, five without neighbours, and 40 in which the manager rests and the experts go on
with what they are sent. This over ten seeds; and over five the same start with ten epochs without neighbours and
nothing more. The run whose loss was lowest in the last epoch with the manager gives the weights that travel in
moe_lib, once all are made. Labels only score these runs; but the strengths of the changes, the rates, the epochs and
the number of neighbours were found in trials whose accuracies we saw. The seconds include the looks at the model
between epochs.
"""

from protocol import BEST, KEPT, accuracy_at, best_name, digits, fit_best, measures

from moe_lib.ladder import invariant_vae, load_weights, save_weights
from moe_lib.records.experiment import Experiment, outcome

PLAIN = {"starts": 4, "epochs": 10, "settle": 0, "finetune": 0, "neighbours": 0, "erase": 0.7}
RUNS = [(BEST, seed) for seed in range(10)]
RUNS += [(PLAIN, seed) for seed in range(5)]


def one(config: dict, seed: int) -> dict:
    watch, by_epoch = accuracy_at((0, 1, 2, 5, 10, 15, 20))
    model, history, seconds = fit_best(config, seed, on_epoch=watch)
    if config == BEST:
        save_weights(model, best_name(seed), KEPT)
    images = digits("raw")[0].images
    metrics = {
        **measures(model, seed),
        "accuracy_by_epoch": by_epoch,
        "train_total": history.total,
        "train_consistency": model.consistency(images, images),
    }
    return outcome(metrics, seconds, "bf16")


def publish() -> None:
    """Puts the weights of the run with the lowest training loss where `load_pretrained` finds them."""
    runs = [run for run in EXPERIMENT.recorded() if run["config"] == BEST and run["metrics"]]
    best = min(runs, key=lambda run: run["metrics"]["train_total"][-1])
    save_weights(load_weights(invariant_vae(), best_name(best["seed"]), KEPT), "best")


EXPERIMENT = Experiment(
    name="invariance",
    what="VAEs with a manager that small changes do not sway; map fitted on training, scored on test images",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    if EXPERIMENT.run():
        publish()
