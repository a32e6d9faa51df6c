"""Training: one visible loop for every model of the book."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from moe_lib.checkpoint import CheckpointError, RunState, digest

Precision = Literal["fp32", "bf16"]
Rate = float | Mapping[str, float]


@dataclass
class History:
    """One float an epoch: the mean over the batches of the epoch, as the model learnt on them."""

    expected: list[float] = field(default_factory=list)
    """Expected loss of the experts; nats per image for VAEs."""
    balancing: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def total(self) -> list[float]:
        """Expected loss plus balancing term: what was minimised."""
        return [e + b for e, b in zip(self.expected, self.balancing, strict=True)]

    def __len__(self) -> int:
        return len(self.expected)


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: Rate,
    seed: int,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    checkpoint: str | Path | None = None,
    progress: bool = True,
    on_epoch: Callable[[int], None] | None = None,
) -> History:
    """Trains a model with Adam, in place, and returns its loss curves. There is no room for labels.

    Every epoch visits the examples in a new order; those left over from the last whole batch sit it out, since a
    balancing term may depend on the batch size. Afterwards the model is back on the device that it came from.
    Explained in chapter 2.

    Args:
        model: `MixtureOfExperts`, or `Experts` alone.
        x: (B, D) what the manager (and the encoder) sees.
        y: (B, D_out) what the experts should give; x itself for VAEs.
        epochs: how many in all, those of a resumed checkpoint counted in.
        batch_size: examples a step, at most B.
        lr: Adam's learning rate, or one for each named child: ``{"manager": 0.02, "experts": 0.05}``.
        seed: of the order of examples and of all noise. On a CPU, with the same number of threads and the same starting
            weights (``torch.manual_seed`` before the model is built), a run repeats bit for bit.
        device: "cpu", "cuda", "mps", or None for the best there is.
        precision: "fp32", or "bf16" for bfloat16 matrix products with float32 weights and losses.
        checkpoint: a file written after every epoch. If it exists, training goes on from there, to the same weights as
            if it had never stopped.
        progress: whether to show a progress bar.
        on_epoch: called with the number of finished epochs, 0 before the first. A resumed run does not call it again
            for the epochs of its checkpoint.

    Raises:
        TypeError, ValueError: if the data or a setting makes no sense, before anything is trained.
        CheckpointError: if the checkpoint is torn, of another model, data set or setting, or has more epochs.
        FloatingPointError: if the loss or a weight stops being finite; the last checkpoint is kept.
    """
    model.check(x, y)
    _check_settings(len(x), epochs, batch_size, precision)
    home, device = next(model.parameters()).device, resolve_device(device)
    optimizer = torch.optim.Adam(_parameter_groups(model, lr), fused=True)
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(int(torch.randint(2**62, (1,), generator=order)))
    history = History()
    try:
        model.to(device).train()
        state = None
        if checkpoint is not None:
            settings = {"model": repr(model), "data": digest(x, y), "batch_size": batch_size, "seed": seed}
            settings |= {"precision": precision, "device": device.type, "lr": [g["lr"] for g in optimizer.param_groups]}
            state = RunState(model, optimizer, {"order": order, "noise": noise}, history, settings)
        if state and Path(checkpoint).exists():
            state.load(Path(checkpoint))
            if len(history) > epochs:
                raise CheckpointError(f"{checkpoint} has {len(history)} epochs, more than the {epochs} asked for")
        elif on_epoch:
            on_epoch(0)

        same = y is x  # then one copy of the images will do
        x = x.to(device)
        y = x if same else y.to(device)
        autocast = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
        steps = len(x) // batch_size
        with tqdm(total=epochs, initial=len(history), unit="epoch", leave=False, disable=not progress) as bar:
            while len(history) < epochs:
                start = time.perf_counter()
                sums = torch.zeros(2, device=device)
                shuffled = torch.randperm(len(x), generator=order)[: steps * batch_size].to(device)
                for batch in shuffled.view(steps, batch_size):
                    with autocast:
                        loss = model.objective(x[batch], x[batch] if same else y[batch], noise)
                    optimizer.zero_grad()
                    loss.total.backward()
                    optimizer.step()
                    sums += torch.stack(loss).detach()

                expected, balancing = (sums / steps).tolist()
                history.expected.append(expected)
                history.balancing.append(balancing)
                history.seconds.append(time.perf_counter() - start)
                if not (sums.isfinite().all() and all(p.isfinite().all() for p in model.parameters())):
                    raise FloatingPointError(
                        f"epoch {len(history)} ended with a loss of {expected + balancing:.4g}, or with weights, that "
                        f"are not finite; try a smaller lr"
                    )
                if state:
                    state.save(Path(checkpoint))
                bar.update()
                bar.set_postfix(loss=f"{expected + balancing:.4g}")
                if on_epoch:
                    on_epoch(len(history))
    finally:
        model.to(home).eval()
    return history


def best_of(train: Callable[[int], tuple[nn.Module, History]], seeds: Sequence[int]) -> tuple[nn.Module, History, int]:
    """Trains once for each seed and keeps the run whose total loss ended lowest: a choice that needs no labels.

    Explained in chapter 2.

    Args:
        train: from a seed to a trained model and its history.
        seeds: at least one.

    Returns:
        model, history and seed of the run that was kept.

    Raises:
        ValueError: if there are no seeds.
    """
    if len(seeds) == 0:
        raise ValueError("seeds is empty; give at least one")
    runs = [(*train(seed), seed) for seed in seeds]
    return min(runs, key=lambda run: run[1].total[-1])


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; with None, CUDA if there is one, then Apple's MPS, then the CPU.

    Raises:
        ValueError: if the name is no device, or this machine has none of that kind.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is None:
        return torch.device(next(name for name, there in available.items() if there))
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is None or resolved.type not in available:
        raise ValueError(f"device is {device!r}; choose one of {', '.join(available)}, or None for the best there is")
    if not available[resolved.type]:
        raise ValueError(
            f"device {device!r} was asked for, but this machine has none; leave device out to use the best"
        )
    return resolved


def _check_settings(n: int, epochs: int, batch_size: int, precision: str) -> None:
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs is {epochs}; train for a whole number of at least 1")
    if not isinstance(batch_size, int) or not 1 <= batch_size <= n:
        raise ValueError(f"batch_size is {batch_size} for {n} examples; it must be a whole number from 1 to {n}")
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}; choose one of {', '.join(get_args(Precision))}")


def _parameter_groups(model: nn.Module, lr: Rate) -> list[dict]:
    """One group for all, or one for each named child of the model."""
    rates = {name: float(rate) for name, rate in lr.items()} if isinstance(lr, Mapping) else {"": float(lr)}
    if isinstance(lr, Mapping):
        parts = {name for name, child in model.named_children() if any(True for _ in child.parameters())}
        if set(rates) != parts:
            raise ValueError(f"lr names {sorted(rates)}; the model's parts are {sorted(parts)}")
    if bad := {name: rate for name, rate in rates.items() if not 0 < rate < float("inf")}:
        raise ValueError(f"lr is {bad}; a learning rate must be positive and finite")
    return [{"params": list(model.get_submodule(name).parameters()), "lr": rate} for name, rate in rates.items()]
