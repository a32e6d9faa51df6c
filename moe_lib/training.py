"""Training: one visible loop for every model of the book."""

import math
import operator
import platform
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from moe_lib.checkpoint import Checkpoint, digest
from moe_lib.data import Points
from moe_lib.experts import RegressionExperts
from moe_lib.manager import Manager
from moe_lib.mixture import MixtureOfExperts, Trainable

Precision = Literal["fp32", "bf16"]
Rate = float | Mapping[str, float]
Autocast = Callable[[], AbstractContextManager]
Learn = Callable[[Tensor, Tensor, Any], Tensor]  # x, y and noise of a batch → its losses, expected and balancing (2,)


@dataclass
class History:
    """One float an epoch: the mean over its batches, as the model learnt on them."""

    expected: list[float] = field(default_factory=list)  # loss of the experts; nats per image for VAEs
    balancing: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    looks: dict[int, Tensor] = field(default_factory=dict)  # by epoch, the tensors that `on_epoch` returned

    @property
    def total(self) -> list[float]:
        """Expected loss plus balancing term: what was minimised."""
        return [e + b for e, b in zip(self.expected, self.balancing, strict=True)]

    def __len__(self) -> int:
        return len(self.expected)


def fit(
    model: Trainable,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: Rate,
    seed: int,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    schedule: Callable[[float], float] | None = None,
    step: Callable[[nn.Module, torch.optim.Optimizer, Autocast], Learn] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    on_epoch: Callable[[int, nn.Module], Tensor | None] | None = None,
) -> History:
    """Trains a model with Adam, in place, and leaves it in evaluation mode, on the device that it came from. Chapter 2.

    Every epoch visits the examples in a new order; an incomplete last batch is dropped.

    Args:
        model: `MixtureOfExperts`, `Experts` alone, or another `Trainable`.
        x: (B, D) what the manager (and the encoder) sees.
        y: (B, D_out) what the experts should give: x itself for VAEs. Labels are never handed over.
        epochs: how many in all, those of a resumed checkpoint counted in.
        batch_size: examples a step, at most B; of all processes together.
        lr: Adam's learning rate, or one for each named child: ``{"manager": 0.02, "experts": 0.05}``.
        seed: of order and noise. On a CPU, from the same weights (``torch.manual_seed`` before the model is built) and
            with as many threads, a run repeats bit for bit.
        device: "cpu", "cuda", "mps", or None for the best there is.
        precision: "fp32", or "bf16" for layers in bfloat16 with float32 weights, softmax and losses; float32 and a
            warning where the processor has no bfloat16 of its own.
        schedule: from the share of all steps that are done, in [0, 1), to what the rate is multiplied by.
        step: what learns a batch: `plain_step` unless given; `moe_lib.scaling` has others.
        checkpoint: a file written after every epoch. If it exists, training goes on from there, to the same weights.
        progress: whether to show a progress bar.
        on_epoch: called with the number of finished epochs, 0 before the first, and the model in evaluation mode. A
            tensor that it returns is kept in `History.looks`, and in the checkpoint.

    Raises:
        TypeError, ValueError, CheckpointError: if data, setting or checkpoint do not fit, before anything is trained.
        FloatingPointError: if the loss or a weight stops being finite; the last checkpoint is kept.
    """
    model.check(x, y)
    epochs, seed = _whole("epochs", epochs), _whole("seed", seed, least=0)
    batch_size = _whole("batch_size", batch_size, most=len(x))
    home, device = next(model.parameters(), x).device, resolve_device(device)
    autocast, step = resolve_precision(precision, device), step or plain_step
    optimizer = torch.optim.Adam(_parameter_groups(model, lr), fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(int(torch.randint(2**62, (1,), generator=order)))  # another stream
    history, steps, file = History(), len(x) // batch_size, None
    if checkpoint is not None:
        parts = {"model": model, "adam": optimizer, "order": order, "noise": noise}
        trained = {name: list(p.shape) for name, p in model.named_parameters() if p.requires_grad}
        settings = {"model": _name(model), "trained": trained, "data": digest(x, y), "batch_size": batch_size}
        settings |= {"seed": seed, "lr": rates, "precision": precision, "device": device.type, "step": _name(step)}
        settings |= {"schedule": schedule and [schedule(t / 10) for t in range(10)], "epochs": schedule and epochs}
        file = Checkpoint(checkpoint, parts, history, settings)

    def look() -> None:
        if on_epoch and (seen := on_epoch(len(history), model.eval())) is not None:
            history.looks[len(history)] = torch.as_tensor(seen).detach().cpu().clone()
        model.train()

    try:
        model.to(device).train()
        resumed = file.resume(most_epochs=epochs) if file else False
        if not resumed:
            look()
        x, y = x.detach().to(device), None if y is x else y.detach().to(device)  # one copy, where both are the same
        learn = step(model, optimizer, autocast)
        for epoch in _progress(range(len(history), epochs), history, shown=progress):
            start, sums = time.perf_counter(), torch.zeros(2, device=device)
            shuffled = torch.randperm(len(x), generator=order)[: steps * batch_size].to(device)
            for i, rows in enumerate(shuffled.view(steps, batch_size)):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * schedule((epoch + i / steps) / epochs) if schedule else rate
                xs = x[rows]  # (batch_size, D)
                sums += learn(xs, xs if y is None else y[rows], model.noise(batch_size, noise))
            for curve, value in zip((history.expected, history.balancing), (sums / steps).tolist(), strict=True):
                curve.append(value)
            history.seconds.append(time.perf_counter() - start)
            if not (math.isfinite(history.total[-1]) and all(p.isfinite().all() for p in model.parameters())):
                raise FloatingPointError(f"a loss or weight is not finite after epoch {epoch + 1}; try a smaller lr")
            look()
            if file:
                file.save()
    finally:
        model.to(home).eval()
    return history


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, autocast: Autocast) -> Learn:
    """Loss, gradients, one step of Adam. `moe_lib.scaling` has faster ways to do the same."""

    def learn(x: Tensor, y: Tensor, noise: Any) -> Tensor:
        with autocast():
            loss = model(x, y, noise)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        return torch.stack(loss).detach()

    return learn


def best_of(train: Callable[[int], tuple[nn.Module, History]], seeds: Sequence[int]) -> tuple[nn.Module, History, int]:
    """Model, history and seed of the run whose total loss ended lowest: a choice that needs no labels. Chapter 2."""
    if len(seeds) == 0:
        raise ValueError("seeds is empty; give at least one")
    runs = [(*train(seed), seed) for seed in seeds]
    return min(runs, key=lambda run: run[1].total[-1])


def fit_parabolas(
    points: Points, seed: int, epochs: int = 120, manager: nn.Module | None = None,
    kind: type[MixtureOfExperts] = MixtureOfExperts, **options: Any,
) -> tuple[MixtureOfExperts, History]:  # fmt: skip
    """One training run of two quadratic experts, from the weights of this seed. Chapter 2.

    The manager is 1-16-2 with tanh units unless another is given, the mixture of the class `kind`; options go to `fit`.
    """
    with seeded(seed):
        manager = manager or Manager(in_features=1, hidden=(16,), num_experts=2, activation="tanh")
        model = kind(manager, RegressionExperts(num_experts=2, degree=2))
    rates = {"manager": 0.02, "experts": 0.05}  # slower, so that experts have something to offer before it decides
    lr = {part: rate for part, rate in rates.items() if any(p.requires_grad for p in getattr(model, part).parameters())}
    options = {"device": "cpu", "progress": False} | options  # too small to be worth a GPU
    history = fit(model, points.x, points.y, epochs=epochs, batch_size=50, lr=lr, seed=seed, **options)
    return model, history


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights that are drawn inside are those of this seed; PyTorch's global random state is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(operator.index(seed))
        yield


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; with None the best there is. ValueError if this machine has none of that kind."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [name for name, there in available.items() if there]
    wanted = here[0] if device is None else str(device)
    if wanted.partition(":")[0] not in here:
        raise ValueError(f"device is {device!r}; this machine has {', '.join(here)}. Leave it out for the best of them")
    return torch.device(wanted)


def resolve_precision(precision: Precision, device: torch.device) -> Autocast:
    """The context in which a loss is computed: autocast to bfloat16 where that is asked for, and the device has it."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}; choose one of {', '.join(get_args(Precision))}")
    bf16 = precision == "bf16" and has_bf16(device)
    if precision == "bf16" and not bf16:
        warnings.warn(f"this {device.type} has no bfloat16 of its own: computing in float32 instead", stacklevel=3)
    return partial(torch.autocast, device.type, dtype=torch.bfloat16, enabled=bf16)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices itself: CUDA and x86 are asked, of others it is assumed."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # private, and not in every version
    return ask() if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64") else True


def _name(part: Any) -> str:
    return re.sub(" at 0x[0-9a-f]+", "", getattr(part, "__qualname__", repr(part)))  # the same in every process


def _whole(name: str, value: int, least: int = 1, most: float = math.inf) -> int:
    if not hasattr(value, "__index__") or not least <= operator.index(value) <= most:
        raise ValueError(f"{name} is {value!r}; give a whole number from {least} to {most:g}")
    return operator.index(value)


def _parameter_groups(model: nn.Module, lr: Rate) -> list[dict]:
    """All weights that are not frozen: one group, or one for each named child of the model."""
    parts = {name: child.parameters() for name, child in model.named_children()}
    parts["itself"] = model.parameters(recurse=False)
    groups = {name: trained for name, weights in parts.items() if (trained := [p for p in weights if p.requires_grad])}
    if not isinstance(lr, Mapping):
        groups, lr = {"all": [p for p in model.parameters() if p.requires_grad]}, {"all": lr}
    if lr.keys() != groups.keys() or not any(groups.values()):
        raise ValueError(f"lr names {sorted(lr)}; the parts with weights to train are {sorted(groups)}")
    if bad := {name: rate for name, rate in lr.items() if not 0 < float(rate) < math.inf}:
        raise ValueError(f"lr is {bad}; a learning rate must be positive and finite")
    return [{"params": groups[name], "lr": float(rate)} for name, rate in lr.items()]


def _progress(epochs: range, history: History, shown: bool) -> Iterator[int]:
    from tqdm import tqdm  # here, since it takes time to import

    with tqdm(total=epochs.stop, initial=epochs.start, unit="epoch", leave=False, disable=not shown) as bar:
        for epoch in epochs:
            yield epoch
            bar.set_postfix(loss=f"{history.total[-1]:.4g}", refresh=False)
            bar.update()
