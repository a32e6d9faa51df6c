"""Models in files: weights, exactly as they are, and the settings that build them. Nothing that could be executed.

save(model, "digits.safetensors")
model = load("digits.safetensors")
"""

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from moe_lib.checkpoint import CheckpointError, read, write
from moe_lib.layers import Configured


def save(model: nn.Module, path: str | Path) -> Path:
    """Writes a model of this library to one safetensors file; `load` gives it back.

    Raises:
        TypeError: if a part is not of this library, or has a setting that no file holds, such as a function.
        OSError: if the file cannot be written; what was there before stays.
    """
    import moe_lib  # for its version, once all of it is there

    settings = json.dumps(_encoded(model))
    path = Path(path).expanduser()
    write(path, model.state_dict(), {"settings": settings, "version": moe_lib.__version__})
    return path


def load(path: str | Path) -> nn.Module:
    """The model that was saved to the file, on the CPU and in evaluation mode, with the same bits.

    Only classes of this library are built, from numbers and words; no code is ever loaded.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it is torn or changed, not one of a model, or of a model that this version cannot build.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    text, tensors = read(path)
    if "settings" not in text:
        raise CheckpointError(f"{path} is a checkpoint of a training run; hand it to fit(..., checkpoint=...)")
    try:
        model = _built(json.loads(text["settings"]))
        model.load_state_dict(tensors, assign=True)  # as they are: no rounding to the type of new weights
    except (AttributeError, ImportError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}, saved by moe_lib {text.get('version')}, does not fit this one ({error})"
        ) from error
    return model.eval()


def _encoded(value: Any) -> Any:
    """A setting as JSON has it: a part of the library by its class and its own settings."""
    if isinstance(value, Configured):
        package, *rooms = type(value).__module__.split(".")
        if package != "moe_lib":
            raise TypeError(f"{type(value).__name__} is not of moe_lib; safetensors.torch.save_model keeps its weights")
        settings = {name: _encoded(setting) for name, setting in value.settings().items()}
        return {"class": ".".join([*rooms[:-1], type(value).__name__]), "settings": settings}
    if isinstance(value, Tensor):
        return {"shape": list(value.shape)}  # its values are weights
    if isinstance(value, tuple | list):
        return [_encoded(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} cannot be saved: a file holds numbers, words and parts of moe_lib")


def _built(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_built(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "shape" in value:
        return torch.zeros(value["shape"])
    *rooms, name = value["class"].split(".")
    kind = getattr(import_module(".".join(["moe_lib", *rooms])), name)
    if not (isinstance(kind, type) and issubclass(kind, Configured)):
        raise TypeError(f"{value['class']} is no model")
    settings = {name: _built(setting) for name, setting in value["settings"].items()}
    several = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is p.VAR_POSITIONAL]
    positional = [item for name in several for item in settings.pop(name)]
    return kind(*positional, **settings)
