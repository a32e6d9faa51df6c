"""Trained weights that travel with the library: float16 in safetensors files, a few megabytes in all."""

import os
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file, save_file
from torch import nn

from moe_lib.manager import ConvManager
from moe_lib.mixture import MixtureOfExperts
from moe_lib.recipes import invariant_vae

AnyModule = TypeVar("AnyModule", bound=nn.Module)

WEIGHTS = Path(__file__).parent / "weights"


def load_pretrained() -> MixtureOfExperts:
    """The best model of the book, trained without a label: of ten runs of `fit_invariant` that of least loss.

    Least in the last epoch of that training; then `fit_own` let the experts go on. Made by experiments/invariance.py,
    which says what else went into it: prior knowledge about digits, and settings found in trials whose accuracies we
    saw. Ready to use, on the CPU: `gate`, `assign`, `generate`.

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


def save_weights(model: nn.Module, name: str, folder: Path = WEIGHTS) -> Path:
    """Writes a model's weights, floats as float16, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    path = folder / f"{name}.safetensors"
    scratch = path.with_suffix(f".{os.getpid()}.part")
    save_file({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, scratch)
    os.replace(scratch, path)
    return path


def load_weights(model: AnyModule, name: str, folder: Path = WEIGHTS) -> AnyModule:
    """Takes over the weights of that name, in place, and sets the model to evaluation."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
        raise FileNotFoundError(
            f"no weights {name!r} in {folder} (there are: {there}); experiments/ has what makes them"
        )
    state = load_file(path)
    model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    return model.eval()
