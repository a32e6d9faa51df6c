"""Several processes that train one model together, started by torchrun."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from moe_lib.training import Autocast, Learn, plain_step


def num_processes() -> int:
    """How many processes train together; 1 unless `torch.distributed.init_process_group` was called."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def shared_step(model: nn.Module, optimizer: torch.optim.Optimizer, autocast: Autocast) -> Learn:
    r"""Each process computes its share of a batch; all of them take the same step, and end with the same weights.

    Exchanged are the gate probabilities, so that the balancing term sees the whole batch; the gradients, of which all
    processes take the mean; the two losses; and buffers, such as running means, which the first process decides.
    Hand it to `fit` as ``step=shared_step``, in every process, with the same data and settings. Alone it is
    `plain_step`. Explained in chapter 6.

    Raises:
        ValueError: if the processes cannot share the batch out evenly.
    """
    if num_processes() == 1:
        return plain_step(model, optimizer, autocast)
    for part in model.modules():
        if hasattr(part, "pooled"):
            part.pooled = gather
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    for values in (*model.parameters(), *model.buffers()):
        dist.broadcast(values.data, src=0)  # all start from the weights of the first

    def learn(x: Tensor, y: Tensor, noise: Any) -> Tensor:
        if len(x) % num_processes():
            raise ValueError(f"batch_size is {len(x)}; {num_processes()} processes cannot share it out evenly")
        with autocast():
            loss = model(_share(x), _share(y), _share(noise))
        optimizer.zero_grad()
        loss.total.backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights]
        for p, gradient in zip(weights, _mean(gradients), strict=True):
            p.grad = gradient
        optimizer.step()
        for values in model.buffers():
            dist.broadcast(values, src=0)
        return _mean([torch.stack(loss).detach()])[0]

    return learn


def gather(p: Tensor) -> Tensor:
    r"""The rows of all processes, one process after the other, with gradients: (B / n, E) → (B, E).

    A balancing term is no mean over examples: the variance of a sum over 100 images is not the mean of the variances
    over two halves. So every process sees all of p, as if it were alone (Qiu et al. 2025, arXiv:2501.11873). With one
    process p itself comes back. Explained in chapter 6.
    """
    return _Gather.apply(p) if num_processes() > 1 else p


class _Gather(torch.autograd.Function):
    """Forwards every process gets all rows; backwards each row gets the gradients that all of them have for it."""

    @staticmethod
    def forward(ctx: Any, p: Tensor) -> Tensor:
        parts = [torch.empty_like(p) for _ in range(num_processes())]
        dist.all_gather(parts, p.contiguous())
        return torch.cat(parts)  # (B, E)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)  # (B, E)
        dist.all_reduce(gradient)
        return gradient.chunk(num_processes())[rank()]  # (B / n, E)


def _share(batch: Any) -> Any:
    """This process's rows of a batch: of a tensor, or of each in a tuple."""
    if isinstance(batch, Tensor):
        return batch.chunk(num_processes())[rank()]
    shares = [_share(part) for part in batch]
    return type(batch)(*shares) if hasattr(batch, "_fields") else type(batch)(shares)


def _mean(tensors: list[Tensor]) -> list[Tensor]:
    """The mean of each tensor over the processes, in one exchange."""
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    parts = (flat / num_processes()).split([t.numel() for t in tensors])
    return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]
