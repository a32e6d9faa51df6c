"""Checkpoints: the whole state of a training run in one file, of tensors and text, nothing that could be executed."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

if TYPE_CHECKING:
    from moe_lib.training import History


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be resumed from. The file is left as it is."""


@dataclass
class RunState:
    """All that a run needs to go on as if it had never stopped.

    Args:
        model: its parameters are kept.
        optimizer: its moments and step counts are kept.
        generators: by name, the sources of order and noise.
        history: the loss curves so far.
        settings: all that must be equal for a resumed run to equal an uninterrupted one, as JSON has it.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generators: dict[str, torch.Generator]
    history: "History"
    settings: dict[str, Any]

    def save(self, path: Path) -> None:
        """Writes beside the file and renames: whoever is killed here leaves the old checkpoint or the new, whole."""
        text = {"settings": json.dumps(self.settings), "history": json.dumps(asdict(self.history))}
        tensors = {name: value.contiguous() for name, value in self._tensors().items()}
        scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as stream:
                stream.write(save(tensors, metadata=text))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)

    def load(self, path: Path, most_epochs: int) -> None:
        """Takes over the state in the file, or nothing of it.

        Raises:
            CheckpointError: if the file is torn, of another model, data set or setting (it says which), or holds more
                epochs than `most_epochs`.
        """
        settings, history, tensors = _read(path)
        here = json.loads(json.dumps(self.settings))
        if odd := [name for name in here if settings.get(name) != here[name]]:
            differ = "; ".join(f"{name} {_brief(settings.get(name))} there, {_brief(here[name])} here" for name in odd)
            raise CheckpointError(f"{path} is of another run: {differ}. Use the same settings, or name another file")
        there, wanted = ({n: (tuple(t.shape), t.dtype) for n, t in s.items()} for s in (tensors, self._after_a_step()))
        if there != wanted:
            odd = sorted(n for n in there.keys() | wanted.keys() if there.get(n) != wanted.get(n))
            raise CheckpointError(f"{path} does not hold this model's state: {', '.join(odd[:3])} differ. Delete it")
        if (epochs := len(history["expected"])) > most_epochs:
            raise CheckpointError(f"{path} has {epochs} epochs, more than the {most_epochs} asked for")

        self.model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("adam."):
                _, i, slot = name.split(".")
                slots.setdefault(int(i), {})[slot] = value
        self.optimizer.load_state_dict({"state": slots, "param_groups": self.optimizer.state_dict()["param_groups"]})
        for name, generator in self.generators.items():
            generator.set_state(tensors[f"generator.{name}"])
        for name, values in history.items():
            setattr(self.history, name, values)

    def _tensors(self) -> dict[str, Tensor]:
        state = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for i, slots in self.optimizer.state_dict()["state"].items():
            state |= {f"adam.{i}.{slot}": value for slot, value in slots.items()}
        return state | {f"generator.{name}": generator.get_state() for name, generator in self.generators.items()}

    def _after_a_step(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint of this run, before the optimiser has made its own."""
        state = self._tensors()
        for i, parameter in enumerate(p for group in self.optimizer.param_groups for p in group["params"]):
            state |= {f"adam.{i}.exp_avg": parameter, f"adam.{i}.exp_avg_sq": parameter}
            state[f"adam.{i}.step"] = torch.zeros(())
        return state


def digest(*tensors: Tensor) -> str:
    """A short fingerprint of the tensors' shapes and values."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(str(tuple(tensor.shape)).encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def _read(path: Path) -> tuple[dict, dict, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as stored:
            text = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118, no mapping
        return json.loads(text["settings"]), json.loads(text["history"]), tensors
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no whole checkpoint ({error}). Delete it to start again, or name another file"
        ) from error


def _brief(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:57]}..."
