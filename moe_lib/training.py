"""Training: one visible loop for every model of the book."""

import math
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from moe_lib import processes
from moe_lib.checkpoint import RunState, digest
from moe_lib.compiled import compiled_step
from moe_lib.experts import Objective

Precision = Literal["fp32", "bf16"]
Schedule = Literal["constant", "one-cycle"]
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
    schedule: Schedule = "constant",
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    compile: bool = False,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    on_epoch: Callable[[int, nn.Module], None] | None = None,
) -> History:
    """Trains a model with Adam, in place, and returns its loss curves. There is no room for labels.

    Every epoch visits the examples in a new order; those left over from the last whole batch sit it out, since a
    balancing term may depend on the batch size. Afterwards the model is back on the device that it came from.
    Under torchrun, with a process group, each process computes its share of every batch, and all of them end with the
    same weights and the same losses. Explained in chapter 2; what makes it fast, in chapter 6.

    Args:
        model: `MixtureOfExperts`, or `Experts` alone.
        x: (B, D) what the manager (and the encoder) sees.
        y: (B, D_out) what the experts should give; x itself for VAEs.
        epochs: how many in all, those of a resumed checkpoint counted in.
        batch_size: examples a step, at most B; of all processes together.
        lr: Adam's learning rate, or one for each named child: ``{"manager": 0.02, "experts": 0.05}``.
        seed: of the order of examples and of all noise. On a CPU, with the same number of threads and the same starting
            weights (``torch.manual_seed`` before the model is built), a run repeats bit for bit.
        schedule: "constant", or "one-cycle": lr rises from a 25th to its full value over the first three tenths of all
            steps, then falls to nearly zero, along half a cosine each. The idea is Smith and Topin's
            (arXiv:1708.07120), the shape that of PyTorch's OneCycleLR.
        device: "cpu", "cuda", "mps", or None for the best there is.
        precision: "fp32", or "bf16" for layers in bfloat16 with float32 weights, softmax and losses. Where the
            processor has no bfloat16 of its own, it warns and computes in float32, which is faster there.
        compile: whether to compile the step, which takes some seconds first and forgets what was compiled before. Where
            that fails, or several processes train together, it warns and goes on uncompiled.
        checkpoint: a file written after every epoch. If it exists, training goes on from there, to the same weights as
            if it had never stopped. Where several processes train together, a path that all of them see.
        progress: whether to show a progress bar.
        on_epoch: called with the number of finished epochs, 0 before the first, and the model in evaluation. A resumed
            run does not call it again for the epochs of its checkpoint.

    Raises:
        TypeError, ValueError: if the data or a setting makes no sense, before anything is trained.
        CheckpointError: if the checkpoint is torn, of another model, data set or setting, or has more epochs.
        FloatingPointError: if the loss or a weight stops being finite; the last checkpoint is kept.
    """
    model.check(x, y)
    _check_settings(len(x), epochs, batch_size, precision, schedule)
    home, device = next(model.parameters()).device, resolve_device(device)
    if precision == "bf16" and not has_bf16(device):
        warnings.warn(f"this {device.type} has no bfloat16 of its own: computing in float32 instead", stacklevel=2)
        precision = "fp32"
    mine = processes.share(batch_size)  # the whole batch, where there is one process
    alone, first = processes.num_processes() == 1, processes.rank() == 0
    optimizer = torch.optim.Adam(_parameter_groups(model, lr), fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(int(torch.randint(2**62, (1,), generator=order)))
    history = History()

    def look() -> None:
        if on_epoch:
            on_epoch(len(history), model.eval())
            model.train()

    try:
        trained = processes.wrap(model.to(device).train())
        state = None
        if checkpoint is not None:
            settings = {"model": repr(model), "data": digest(x, y), "batch_size": batch_size, "seed": seed, "lr": rates}
            settings |= {"precision": precision, "compile": compile, "device": device.type, "schedule": schedule}
            settings |= {"processes": processes.num_processes()}
            settings |= {"epochs": epochs} if schedule != "constant" else {}  # a schedule knows where it ends
            state = RunState(model, optimizer, {"order": order, "noise": noise}, history, settings)
        if state and Path(checkpoint).exists():
            state.load(Path(checkpoint), most_epochs=epochs)
        else:
            look()

        same = y is x  # then one copy of the images will do
        x = x.to(device)
        y = x if same else y.to(device)

        def objective(x: Tensor, y: Tensor, noise: Tensor) -> Objective:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
                return trained(x, y, noise)

        def step(x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
            loss = objective(x, y, noise)
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            return torch.stack(loss).detach()

        if compile and alone:
            step = compiled_step(objective, optimizer, otherwise=step)
        elif compile:
            warnings.warn("several processes train uncompiled: a compiled step would not share gradients", stacklevel=2)
        steps = len(x) // batch_size
        with tqdm(
            total=epochs, initial=len(history), unit="epoch", leave=False, disable=not (progress and first)
        ) as bar:
            while len(history) < epochs:
                start = time.perf_counter()
                sums = torch.zeros(2, device=device)
                shuffled = torch.randperm(len(x), generator=order)[: steps * batch_size].to(device)
                for i, batch in enumerate(shuffled.view(steps, batch_size)):
                    for group, rate in zip(optimizer.param_groups, rates, strict=True):
                        group["lr"] = rate * _SCHEDULES[schedule]((len(history) + i / steps) / epochs)
                    xs, drawn = x[batch[mine]], model.noise(batch_size, noise)[mine]
                    sums += step(xs, xs if same else y[batch[mine]], drawn)

                sums = processes.mean(sums)
                expected, balancing = (sums / steps).tolist()
                history.expected.append(expected)
                history.balancing.append(balancing)
                history.seconds.append(time.perf_counter() - start)
                if not (sums.isfinite().all() and all(p.isfinite().all() for p in model.parameters())):
                    raise FloatingPointError(
                        f"epoch {len(history)} ended with a loss of {expected + balancing:.4g}, or with weights, that "
                        f"are not finite; try a smaller lr"
                    )
                if state and first:
                    state.save(Path(checkpoint))
                bar.update()
                bar.set_postfix(loss=f"{expected + balancing:.4g}")
                look()
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


def one_cycle(done: float) -> float:
    """Share of the learning rate when a share `done` of all steps is done: up along half a cosine, then down."""
    peak, start, end = 0.3, 1 / 25, 1e-5
    if done < peak:
        return 1 + (start - 1) * _half_cosine(done / peak)
    return end + (1 - end) * _half_cosine((done - peak) / (1 - peak))


def _half_cosine(way: float) -> float:
    return (1 + math.cos(math.pi * way)) / 2  # from 1 to 0


_SCHEDULES: dict[str, Callable[[float], float]] = {"constant": lambda done: 1.0, "one-cycle": one_cycle}


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices itself; one that imitates it is faster in float32.

    CUDA devices and x86 processors are asked; of others it is assumed.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported()
    return True


def _check_settings(n: int, epochs: int, batch_size: int, precision: str, schedule: str) -> None:
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs is {epochs}; train for a whole number of at least 1")
    if not isinstance(batch_size, int) or not 1 <= batch_size <= n:
        raise ValueError(f"batch_size is {batch_size} for {n} examples; it must be a whole number from 1 to {n}")
    for name, value, choices in (("precision", precision, Precision), ("schedule", schedule, Schedule)):
        if value not in get_args(choices):
            raise ValueError(f"{name} is {value!r}; choose one of {', '.join(get_args(choices))}")


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
