"""Is fast as good? Five seeds of 20 epochs in bfloat16 and compiled, and three with two experts an image.

    python experiments/fast.py        about ten minutes on two cores; goes on where it was stopped

The same seeds in float32 are those of experiments/seeds.py. Writes book/results/fast.json, which chapter 6 reads.
"""

from scoring import train_and_score

from moe_lib import moe_vae
from moe_lib.results import run_all

WAYS = {"fast": {"precision": "bf16", "compile": True}, "top-2": {}}
SEEDS = {"fast": range(5), "top-2": range(3)}
RUNS = [({"way": way, "epochs": 20}, seed) for way in WAYS for seed in SEEDS[way]]


def one(config: dict, seed: int) -> dict:
    build = (lambda: moe_vae(top_k=2)) if config["way"] == "top-2" else moe_vae
    return train_and_score(build, config["epochs"], seed, **WAYS[config["way"]])


if __name__ == "__main__":
    run_all(
        "fast",
        what="the post's MoE-VAE, computed faster, over seeds; test images",
        unit="nats per image; shares in [0, 1]",
        code="experiments/fast.py",
        runs=RUNS,
        one=one,
    )
