"""Checkpoints: the state of a training run in one file, of tensors and text, nothing that could be executed."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn


class CheckpointError(RuntimeError):
    """A file that cannot be loaded, or resumed from. It is left as it is."""


class Checkpoint:
    """A file from which `fit` goes on as if it had never stopped; CheckpointError if none can be written there.

    It holds, by name, the parts (model, optimizer, generators of order and noise), the history, and the settings that
    must be equal for a resumed run to equal an uninterrupted one. A class or function of yours is known by its name.
    """

    def __init__(self, path: str | Path, parts: dict[str, Any], history: Any, settings: dict[str, Any]) -> None:
        self.path, self.parts, self.history, self.settings = Path(path).expanduser(), parts, history, settings
        if not str(path) or self.path.is_dir():
            raise CheckpointError(f"{str(path)!r} is a folder; name a file in it, for instance run.safetensors")
        try:  # before a long run relies on it
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _beside(self.path).touch()
            _beside(self.path).unlink()
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written to ({error}). Name another file") from error

    def save(self) -> None:
        """Writes beside the file and renames: a run that is killed leaves the old checkpoint or the new, whole."""
        tensors = {f"look.{epoch}": seen for epoch, seen in self.history.looks.items()}
        for name, part in self.parts.items():
            if isinstance(part, torch.Generator):
                tensors[f"{name}.state"] = part.get_state()
            elif isinstance(part, nn.Module):
                tensors |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
            else:  # Adam: moments and step count of each weight that it has moved
                for i, slots in part.state_dict()["state"].items():
                    tensors |= {f"{name}.{i}.{slot}": value for slot, value in slots.items()}
        curves = {name: values for name, values in asdict(self.history).items() if name != "looks"}
        write(self.path, tensors, {"run": json.dumps(self.settings), "history": json.dumps(curves)})

    def resume(self, most_epochs: int) -> bool:
        """Takes over the state in the file and says True; without a file nothing happens.

        CheckpointError if the file is torn, changed, of another run (it says which) or holds more epochs than that.
        """
        if not self.path.exists():
            return False
        text, tensors = read(self.path)
        if "run" not in text:
            raise CheckpointError(f"{self.path} is a saved model, not a checkpoint. Name another file")
        run, here = json.loads(text["run"]), json.loads(json.dumps(self.settings))
        if odd := [name for name in here if run.get(name) != here[name]]:
            differ = "; ".join(f"{name} {str(run.get(name))[:60]} there, {str(here[name])[:60]} here" for name in odd)
            raise CheckpointError(f"{self.path} is of another run: {differ}. Use its settings, or name another file")
        history = json.loads(text["history"])
        if (epochs := len(history["expected"])) > most_epochs:
            raise CheckpointError(f"{self.path} has {epochs} epochs, more than the {most_epochs} asked for")
        for name, part in self.parts.items():
            state = _below(name, tensors)
            if isinstance(part, torch.Generator):
                part.set_state(state["state"])
            elif isinstance(part, nn.Module):
                part.load_state_dict(state)
            else:
                moved = {key.partition(".")[0] for key in state}
                slots = {int(i): _below(i, state) for i in moved}
                part.load_state_dict({"state": slots, "param_groups": part.state_dict()["param_groups"]})
        looks = {int(epoch): seen for epoch, seen in _below("look", tensors).items()}
        vars(self.history).update(history | {"looks": looks})
        return True


def write(path: Path, tensors: dict[str, Tensor], text: dict[str, str]) -> None:
    """Tensors and text in one safetensors file, sealed with a fingerprint, whole or not at all."""
    tensors = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _beside(path).open("wb") as stream:
            stream.write(to_bytes(tensors, metadata=text | {"seal": _seal(tensors, text)}))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(_beside(path), path)
    finally:
        _beside(path).unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Text and tensors of a file, to the last bit what was written; CheckpointError for any other file."""
    try:
        with safe_open(path, framework="pt") as stored:
            text = stored.metadata() or {}
            # copies: what is stored is a view of the file, and changes with it
            tensors = {name: stored.get_tensor(name).clone() for name in stored.keys()}  # noqa: SIM118, no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is torn, or no safetensors file ({error}). Name another file") from error
    if (seal := text.pop("seal", None)) is None:
        raise CheckpointError(f"{path} was not written by this moe_lib. Name another file")
    if seal != _seal(tensors, text):
        raise CheckpointError(f"{path} has changed since it was written: a bit is not as it was. Delete it")
    return text, tensors


def digest(*tensors: Tensor) -> str:
    """A fingerprint of the tensors' types, shapes and values."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return sha.hexdigest()


def _seal(tensors: dict[str, Tensor], text: dict[str, str]) -> str:
    whole = json.dumps([sorted(text.items()), sorted(tensors), digest(*(tensors[name] for name in sorted(tensors)))])
    return hashlib.sha256(whole.encode()).hexdigest()


def _below(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(f"{name}.")}


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.part")
