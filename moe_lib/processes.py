"""Several processes that train one model together, started by torchrun; alone, nothing of this does anything."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def num_processes() -> int:
    """How many processes train together; 1 unless `torch.distributed.init_process_group` was called."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def share(batch_size: int) -> slice:
    """This process's part of a global batch.

    Raises:
        ValueError: if the batch cannot be shared out evenly.
    """
    if batch_size % num_processes():
        raise ValueError(f"batch_size is {batch_size}; {num_processes()} processes cannot share it out evenly")
    part = batch_size // num_processes()
    return slice(rank() * part, (rank() + 1) * part)


def gather(p: Tensor) -> Tensor:
    r"""The gate probabilities of the global batch, (B / n, E) from each of n processes → (B, E), with gradients.

    A balancing term is no mean over examples: the variance of a sum over 100 images is not the mean of the variances
    over two halves. Each process would ask for balance within its own few images, which is another term. So every
    process sees all of p, as if it were alone (Qiu et al. 2025, arXiv:2501.11873). Explained in chapter 6.
    """
    if num_processes() == 1:
        return p
    from torch.distributed.nn.functional import all_gather  # not in every build of PyTorch

    return torch.cat(all_gather(p))


def mean(values: Tensor) -> Tensor:
    """The mean over processes, the same on all of them."""
    if num_processes() > 1:
        dist.all_reduce(values)
    return values / num_processes()


def wrap(model: nn.Module) -> nn.Module:
    """The model with its gradients averaged over the processes; itself where there is one."""
    return DistributedDataParallel(model) if num_processes() > 1 else model
