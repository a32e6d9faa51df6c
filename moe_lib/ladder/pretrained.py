"""Trained weights that travel with the library: float16 in safetensors files, a few megabytes in all."""

from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from moe_lib.checkpoint import CheckpointError, read, write
from moe_lib.ladder.convolutional import ConvManager
from moe_lib.ladder.recipes import invariant_vae
from moe_lib.mixture import MixtureOfExperts

AnyModule = TypeVar("AnyModule", bound=nn.Module)

WEIGHTS = Path(__file__).parent.parent / "weights"


def load_pretrained() -> MixtureOfExperts:
    """The best model of the book, trained without a label: of ten runs of `fit_invariant` that of least loss.

    Least in the last epoch of that training; then `finetune_experts` let the experts go on. Made by
    experiments/invariance.py, which says what else went into it: prior knowledge about digits, and settings found in
    trials whose accuracies we saw. Ready to use, on the CPU: `gate`, `assign`, `generate`.

    Raises:
        FileNotFoundError: if this copy of the library comes without the weights.
    """
    return load_weights(invariant_vae(), "best")


def load_examiner() -> ConvManager:
    """A network that reads digits, to examine drawn ones with: trained *on labels*, and never used to train or choose.

    Made by experiments/examiner.py, which says how often it errs on test images. Explained in chapter 7.

    Raises:
        FileNotFoundError: if this copy of the library comes without the weights.
    """
    return load_weights(ConvManager(num_experts=10), "examiner")


def save_weights(model: nn.Module, name: str, folder: str | Path = WEIGHTS) -> Path:
    """Writes a model's weights, floats rounded to float16, whole or not at all; `moe_lib.records.save` rounds nothing.

    Raises:
        ValueError: if a weight is too large for float16.
    """
    state = {key: value.detach() for key, value in model.state_dict().items()}
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    if large := [key for key, value in half.items() if value.isinf().any()]:
        raise ValueError(f"{large[0]} has values beyond {torch.finfo(torch.float16).max:.0f}, the largest of float16")
    path = Path(folder).expanduser() / f"{name}.safetensors"
    write(path, half, {})
    return path


def load_weights(model: AnyModule, name: str, folder: str | Path = WEIGHTS) -> AnyModule:
    """Takes over the weights of that name, in place, and sets the model to evaluation.

    Raises:
        FileNotFoundError: if there are none of that name; it says which there are.
        CheckpointError: if the file is torn, or has changed since `save_weights` wrote it.
    """
    folder = Path(folder).expanduser()
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
        raise FileNotFoundError(
            f"no weights {name!r} in {folder} (there are: {there}); experiments/ has what makes them"
        )
    try:
        with safe_open(path, framework="pt") as stored:
            sealed = "seal" in (stored.metadata() or {})  # the two that travel with the library are older than seals
        state = read(path)[1] if sealed else load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is torn, or no safetensors file ({error})") from error
    model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    return model.eval()
