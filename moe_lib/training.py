"""Training: one visible loop for every model of the book."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from moe_lib.experts import Objective

Precision = Literal["fp32", "bf16"]
Rate = float | Mapping[str, float]


class Trainable(Protocol):
    """What `fit` asks of a model: `Experts` and `MixtureOfExperts` both have it."""

    def objective(self, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Objective: ...

    def check(self, x: Tensor, y: Tensor) -> None: ...


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


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be resumed from. The file is left as it is."""


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
        on_epoch: called with the number of finished epochs, 0 before the first.

    Raises:
        TypeError, ValueError: if the data or a setting makes no sense, before anything is trained.
        CheckpointError: if the checkpoint is torn, or of another model, data set or setting.
        FloatingPointError: if the loss stops being finite; the last checkpoint is kept.
    """
    model.check(x, y)
    _check_settings(len(x), epochs, batch_size, precision)
    home, device = next(model.parameters()).device, resolve_device(device)
    optimizer = torch.optim.Adam(_parameter_groups(model, lr), fused=True)
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(int(torch.randint(2**62, (1,), generator=order)))
    history = History()

    x, y, same = x.to(device), y.to(device), y is x
    y = x if same else y  # one copy of the images, not two
    model.to(device).train()
    run = _Run(model, optimizer, order, noise, history, _settings(x, batch_size, lr, seed, precision))
    if checkpoint is not None and Path(checkpoint).exists():
        run.load(Path(checkpoint))
    elif on_epoch:
        on_epoch(0)

    autocast = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    steps = len(x) // batch_size
    with tqdm(total=epochs, initial=len(history), unit="epoch", leave=False, disable=not progress) as bar:
        while len(history) < epochs:
            start = time.perf_counter()
            sums = torch.zeros(2, device=device)
            batches = torch.randperm(len(x), generator=order)[: steps * batch_size].to(device).view(steps, batch_size)
            for batch in batches:
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
            if not torch.isfinite(sums).all():
                raise FloatingPointError(
                    f"the loss is {expected + balancing} after epoch {len(history)}; try a smaller lr"
                )
            if checkpoint is not None:
                run.save(Path(checkpoint))
            bar.update()
            bar.set_postfix(loss=f"{expected + balancing:.4g}")
            if on_epoch:
                on_epoch(len(history))
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
    """
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
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; train for at least 1")
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size is {batch_size} for {n} examples; it must be from 1 to {n}")
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}; choose one of {', '.join(get_args(Precision))}")


def _parameter_groups(model: nn.Module, lr: Rate) -> list[dict]:
    """One group for all, or one for each named child of the model."""
    if not isinstance(lr, Mapping):
        lr_of = {"": lr}
    else:
        lr_of = dict(lr)
        trainable = {name for name, child in model.named_children() if any(True for _ in child.parameters())}
        if set(lr_of) != trainable:
            raise ValueError(f"lr names {sorted(lr_of)}; the model's parts are {sorted(trainable)}")
    if bad := {name: rate for name, rate in lr_of.items() if not rate > 0}:
        raise ValueError(f"lr is {bad}; a learning rate must be positive")
    return [
        {"params": list((model.get_submodule(name) if name else model).parameters()), "lr": rate}
        for name, rate in lr_of.items()
    ]


def _settings(x: Tensor, batch_size: int, lr: Rate, seed: int, precision: str) -> dict:
    """All that must be equal for a resumed run to equal an uninterrupted one; the number of epochs may grow."""
    lr = dict(lr) if isinstance(lr, Mapping) else lr
    data = {"shape": list(x.shape), "sum": float(x.double().sum().cpu() if x.device.type != "mps" else x.sum().cpu())}
    return {"batch_size": batch_size, "lr": lr, "seed": seed, "precision": precision, "data": data}


@dataclass
class _Run:
    """The whole state of a training run, to and from one file: tensors and text, nothing that could be executed."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    noise: torch.Generator
    history: History
    settings: dict

    def tensors(self) -> dict[str, Tensor]:
        state = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for i, slots in self.optimizer.state_dict()["state"].items():
            state |= {f"adam.{i}.{slot}": value for slot, value in slots.items()}
        return state | {"generator.order": self.order.get_state(), "generator.noise": self.noise.get_state()}

    def save(self, path: Path) -> None:
        """Writes beside the file and renames: whoever is killed here leaves the old checkpoint or the new, whole."""
        text = {"settings": json.dumps(self.settings), "history": json.dumps(asdict(self.history))}
        scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as stream:
                stream.write(save({name: value.contiguous() for name, value in self.tensors().items()}, metadata=text))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)

    def load(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as stored:
                text = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118, no mapping
            settings, history = json.loads(text["settings"]), json.loads(text["history"])
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise CheckpointError(
                f"{path} is no whole checkpoint ({error}). Delete it to start again, or name another file"
            ) from error
        if settings != json.loads(json.dumps(self.settings)):
            differ = ", ".join(
                f"{name} {settings.get(name)!r} there, {value!r} here"
                for name, value in json.loads(json.dumps(self.settings)).items()
                if settings.get(name) != value
            )
            raise CheckpointError(f"{path} is of another run: {differ}. Use the same settings, or name another file")
        weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        shapes = [{name: tuple(t.shape) for name, t in state.items()} for state in (weights, self.model.state_dict())]
        if shapes[0] != shapes[1]:
            odd = sorted(n for n in shapes[0].keys() | shapes[1].keys() if shapes[0].get(n) != shapes[1].get(n))
            there, here = (", ".join(f"{n} {s.get(n, 'missing')}" for n in odd[:3]) for s in shapes)
            raise CheckpointError(f"{path} is of another model. There: {there}. Here: {here}. Name another file")

        self.model.load_state_dict(weights)
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("adam."):
                _, i, slot = name.split(".")
                slots.setdefault(int(i), {})[slot] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.order.set_state(tensors["generator.order"])
        self.noise.set_state(tensors["generator.noise"])
        for name, values in history.items():
            setattr(self.history, name, values)
