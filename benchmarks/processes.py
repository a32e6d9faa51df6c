"""Trains the post's model in as many processes as torchrun starts, for each the same number of threads.

    torchrun --standalone --nproc-per-node 2 benchmarks/processes.py --epochs 3

Each process computes its share of every batch of 100 (so 2, 4, 5, 10 … of them); the balancing term sees the whole
batch. The curves agree with that of one process up to the rounding of float32.
"""

import argparse
import json

import torch
import torch.distributed as dist

from moe_lib import fit, mnist, moe_vae
from moe_lib.scaling import num_processes, rank, shared_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=60_000, help="train on so many of them")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process on a CPU")
    arguments = parser.parse_args()

    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.set_num_threads(arguments.threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(dist.get_node_local_rank())
    images = mnist()[0].images[: arguments.images]
    torch.manual_seed(0)
    model = moe_vae()
    settings = {"epochs": arguments.epochs, "batch_size": 100, "lr": 1e-3, "seed": 0, "progress": rank() == 0}
    history = fit(model, images, images, step=shared_step, **settings)
    if rank() == 0:
        curve = {"expected": history.expected, "balancing": history.balancing, "seconds": history.seconds}
        print(json.dumps({"processes": num_processes(), **curve}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
