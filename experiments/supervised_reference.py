"""How well do ten VAEs draw, each trained on one digit? Read by chapters 7 and 8, to compare with.

    python experiments/supervised_reference.py      about twenty minutes on one CPU core

Chapter 1's oracle, in the fast way of chapter 6: expert d learns the digit d alone, 100 epochs in batches of 10 images
of each digit, of which as many are used as there are of the rarest. What the examiner makes of its drawings, and of its
reconstructions of test images, is the ceiling. Ten seeds.
"""

import torch
from protocol import FAST, digits

from moe_lib import FixedManager, MixtureOfExperts, VAEExperts, fit
from moe_lib.ladder import load_examiner, side_by_side
from moe_lib.measures import examine, iwae
from moe_lib.records.experiment import Experiment, outcome

RUNS = [({"epochs": 100}, seed) for seed in range(10)]


def one(config: dict, seed: int) -> dict:
    train, test = digits("raw")
    images = side_by_side(train.images, train.labels, num_experts=10)  # (B, E, D), each expert its own digit
    torch.manual_seed(seed)
    experts = VAEExperts(num_experts=10, activation=config.get("activation", "sigmoid"))
    history = fit(experts, images, images, epochs=config["epochs"], batch_size=10, lr=1e-3, seed=seed, **FAST)
    examiner, rows = load_examiner(), torch.arange(len(test.labels))
    with torch.no_grad():
        losses = experts.losses(test.images, test.images)[rows, test.labels]
        reconstructed = examiner(experts.reconstruct(test.images)[rows, test.labels]).argmax(dim=1)
    drawn = examine(experts, examiner, torch.arange(10))
    anyone = MixtureOfExperts(FixedManager(lambda x: torch.zeros(len(x), dtype=torch.long), 10), experts)
    metrics = {
        "expected": losses.mean().item(),
        "iwae": iwae(anyone, test.images[:200], samples=1000),  # which no manager has a part in
        "drawn_right": drawn.accuracy,
        "drawn_digits": drawn.covered,
        "reconstructed_right": (reconstructed == test.labels).float().mean().item(),
        "train_expected": history.expected,
    }
    return outcome(metrics, sum(history.seconds), "bf16")


EXPERIMENT = Experiment(
    name="supervised_reference",
    what="ten VAEs, each trained on the images of its own digit: what labels are worth; test images",
    unit="nats per image; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
