"""Writes the trained model, small enough for a page: book/_extra/playground_digits/weights/*.js.

    python tools/make_playground_weights.py

The model is that of `load_pretrained()`: 5 MB as float16, two and a half million weights. A page may not be that heavy,
and from a file it may load nothing but a script, so:

- Batch normalisation, a linear map once training is over, is folded into the layer before it. This is exact.
- Each layer's weights become whole numbers times one step. In the three large layers, which hold 97 % of the weights,
  the rounding errors are fed back: what an input's weights lose is made good, as far as the training images' inputs
  allow, by those of the inputs that are still to be rounded. The answers so err a third as much as with plain rounding.
- A whole number is written in base 64, one text for the first digits, one for the second: a server's gzip finds that
  the first ones are mostly alike, and the second need the six bits that they take.
- Manager and experts have a file each: none is so long that a phone, while it reads it, stops answering its reader.

Another file has some test images, chosen without their labels, and what test images usually cost their expert. It
also has the limit, the loss beyond which the page says that it has seen nothing like a drawing: a share `REFUSED` of
the training images lies beyond it. Labels only serve to tell how accurate the model is.
tests/test_playground_digits.py measures how far all of it is from `load_pretrained()`.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from moe_lib import MixtureOfExperts, match_experts, mnist
from moe_lib.ladder import invariant_vae, load_pretrained

FOLDER = Path(__file__).resolve().parent.parent / "book" / "_extra" / "playground_digits" / "weights"
HEAD = '"use strict";\n\n// Made by tools/make_playground_weights.py, which says how to read it.\ndigits.take('
TAIL = ");\n"
CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# Steps to a layer's standard deviation: what 3 MB for both playgrounds have room for. Small layers can afford any.
FINENESS = {"connect": 90, "encode": 84, "draw": 104}
FINE = 2000
PLAIN, DOUBTFUL = 48, 24  # test images in the file: drawn by lot, and those of which the manager is least sure
REFUSED = 0.02  # of the training images lie beyond the limit, and would be told so wrongly
DAMPING = 1e-2  # how far corrections may lean on what training images never show, as a share of an input's mean square


# --- The model as named arrays --------------------------------------------------------------------------------------


def folded(layer: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights (in, out) and biases (out) of a layer that does what the two did."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return layer.weight.flatten(1).T * scale, (layer.bias - norm.running_mean) * scale + norm.bias


def arrays_of(model: MixtureOfExperts) -> dict[str, Tensor]:
    """Weights (..., in, out) and biases (..., out) by name; a convolution's inputs are (channel, row, column)."""
    manager, (encoder, decoder) = model.manager.layers, (model.experts.encoder, model.experts.decoder)
    pairs = {
        "see": folded(manager[1], manager[2]),
        "look": folded(manager[4], manager[5]),
        "connect": folded(manager[8], manager[9]),
        "decide": (manager[11].weight.T, manager[11].bias),
        "encode": (encoder[0].weight, encoder[0].bias.squeeze(1)),
        "posterior": (encoder[2].weight, encoder[2].bias.squeeze(1)),
        "decode": (decoder[0].weight, decoder[0].bias.squeeze(1)),
        "draw": (decoder[2].weight, decoder[2].bias.squeeze(1)),
    }
    weights = {name: weight.detach() for name, (weight, _) in pairs.items()}
    return weights | {f"{name}Bias": bias.detach() for name, (_, bias) in pairs.items()}


def model_of(arrays: dict[str, Tensor]) -> MixtureOfExperts:
    """A mixture with these weights, its batch normalisation doing nothing; what `arrays_of` takes apart."""
    model = invariant_vae().eval()
    manager, (encoder, decoder) = model.manager.layers, (model.experts.encoder, model.experts.decoder)
    for norm in (manager[2], manager[5], manager[9]):
        norm.reset_parameters()
        norm.running_var.fill_(1 - norm.eps)
    for name, layer in {"see": 1, "look": 4, "connect": 8, "decide": 11}.items():
        layer = manager[layer]
        layer.weight.data = arrays[name].T.reshape(layer.weight.shape).contiguous()
        layer.bias.data = arrays[f"{name}Bias"]
    layers = {"encode": encoder[0], "posterior": encoder[2], "decode": decoder[0], "draw": decoder[2]}
    for name, layer in layers.items():
        layer.weight.data, layer.bias.data = arrays[name], arrays[f"{name}Bias"].unsqueeze(1)
    return model


# --- Whole numbers --------------------------------------------------------------------------------------------------


def rounded(weight: Tensor, step: float, inputs: Tensor) -> Tensor:
    """Whole numbers q (in, out) such that inputs (N, in) times q·step come close to inputs times weight (in, out).

    One input after the other is rounded; the best the others can then do about its error is a linear regression on
    them, whose coefficients are the rows of the Cholesky factor of the inverse second moment of the inputs.
    """
    moment = (inputs.T @ inputs).double() / len(inputs)
    moment.diagonal().add_(DAMPING * moment.diagonal().mean())
    factor = torch.linalg.cholesky(torch.linalg.inv(moment), upper=True)
    rest, whole = weight.double().clone(), torch.empty(weight.shape, dtype=torch.float64)
    for i, row in enumerate(factor):
        whole[i] = (rest[i] / step).round()
        rest[i + 1 :] -= torch.outer(row[i + 1 :] / row[i], rest[i] - whole[i] * step)
    return whole


@torch.no_grad()
def quantised(model: MixtureOfExperts, images: Tensor) -> dict[str, tuple[Tensor, float]]:
    """Each array as whole numbers and a step."""
    arrays = arrays_of(model)
    mean, _ = model.experts.encode(images)  # (E, B, Z)
    drawn = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    inputs = {
        "connect": model.manager.layers[:8](images).unsqueeze(0),
        "encode": images.expand(10, *images.shape),
        "draw": model.experts.decoder[:2](torch.cat([mean, drawn], dim=1)),
    }
    found = {}
    for name, array in arrays.items():
        step = (array.std() / FINENESS.get(name, FINE)).item()
        whole = (array / step).round()
        if name in inputs:
            each = zip(array.reshape(-1, *array.shape[-2:]), inputs[name], strict=True)
            whole = torch.stack([rounded(weight, step, seen) for weight, seen in each]).reshape(array.shape)
        found[name] = whole.long(), step
    return found


# --- The files ------------------------------------------------------------------------------------------------------


def packed(whole: Tensor, step: float) -> dict:
    """q = 64^n / 2 + whole in n base-64 digits: as many texts, the highest digits first."""
    size = next(n for n in (2, 3) if whole.abs().max() < 64**n // 2)
    flat = whole.flatten() + 64**size // 2
    planes = ["".join(CODE[digit] for digit in (flat // 64**n % 64).tolist()) for n in reversed(range(size))]
    return {"shape": list(whole.shape), "step": step, "planes": planes}


def unpacked(array: dict) -> Tensor:
    """What `packed` packed, as float32."""
    digits = torch.tensor([[CODE.index(letter) for letter in plane] for plane in array["planes"]])  # (n, numbers)
    whole = sum(plane * 64**n for n, plane in enumerate(digits.flip(0))) - 64 ** len(digits) // 2
    return (whole.double() * array["step"]).float().reshape(array["shape"])


def of_experts(name: str) -> bool:
    """Whether every expert has such an array of its own."""
    return name.removesuffix("Bias") in ("encode", "posterior", "decode", "draw")


def parts_of(numbers: dict[str, tuple[Tensor, float]]) -> dict[str, dict]:
    """What each file holds of the model: `arrays` by name, of one `expert` or, as its only one, of the manager."""
    shared = {name: packed(*pair) for name, pair in numbers.items() if not of_experts(name)}
    parts = {"manager": {"expert": 0, "arrays": shared}}
    for expert in range(len(numbers["draw"][0])):
        arrays = {name: packed(whole[expert], step) for name, (whole, step) in numbers.items() if of_experts(name)}
        parts[f"expert-{expert}"] = {"expert": expert, "arrays": arrays}
    return parts


def joined(parts: Iterable[dict]) -> dict[str, Tensor]:
    """The model's arrays, out of all its parts."""
    found: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for part in parts:
        for name, array in part["arrays"].items():
            found[name][part["expert"]] = unpacked(array)
    stacked = {name: torch.stack([each[expert] for expert in sorted(each)]) for name, each in found.items()}
    return {name: array if of_experts(name) else array[0] for name, array in stacked.items()}


def read(folder: Path = FOLDER) -> tuple[MixtureOfExperts, Tensor, dict]:
    """The model of the page, its images (n, 784), and the rest of the files as it is."""
    texts = {
        path.stem: path.read_text(encoding="utf-8").removeprefix(HEAD).removesuffix(TAIL)
        for path in folder.glob("*.js")
    }
    parts = {name: json.loads(text) for name, text in texts.items()}
    rest = parts.pop("examples")
    return model_of(joined(parts.values())), unpacked(rest.pop("images")), rest


@torch.no_grad()
def losses_at_mean(model: MixtureOfExperts, images: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction, at the posterior's mean, and KL, in nats: (B, E) each."""
    return model.experts.elbo(images, noise=torch.zeros(len(images), model.num_experts, model.experts.latent))


@torch.no_grad()
def costs(model: MixtureOfExperts, images: Tensor) -> Tensor:
    """Each image's loss (B,), in nats, at the expert that the manager asks."""
    asked = [(sum(losses_at_mean(model, some)), model.assign(some)) for some in images.split(1000)]
    return torch.cat([losses.gather(1, expert.unsqueeze(1)).squeeze(1) for losses, expert in asked])


def choose(model: MixtureOfExperts, images: Tensor) -> Tensor:
    """Which images the reader meets: some by lot, then those that the manager is least sure of. No label is asked."""
    lot = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:PLAIN]
    doubt = -model.gate(images).amax(dim=1)
    doubt[lot] = -torch.inf
    return torch.cat([lot, doubt.topk(DOUBTFUL).indices])


def percent(which: Tensor) -> float:
    """Of how many it holds."""
    return round(100 * which.double().mean().item(), 2)


@torch.no_grad()
def main() -> None:
    train, test = mnist()
    parts = parts_of(quantised(load_pretrained(), train.images[::10]))
    model = model_of(joined(parts.values()))
    seen, unseen = costs(model, train.images), costs(model, test.images)
    limit = round(seen.quantile(1 - REFUSED).item(), 1)
    names = match_experts(model.assign(train.images), train.labels, 10)
    parts["examples"] = {
        "images": packed((255 * test.images[choose(model, test.images)]).round().long(), 1 / 255),
        "doubtful": DOUBTFUL,
        "deviation": model.experts.decoder_std,
        "costs": [round(cost, 2) for cost in unseen.quantile(torch.linspace(0, 1, 101)).tolist()],
        "limit": limit,
        "facts": {  # what the page's text tells of the model, in per cent
            "accuracy": percent(names[model.assign(test.images)] == test.labels),
            "refusedSeen": percent(seen > limit),
            "refusedUnseen": percent(unseen > limit),
        },
    }
    FOLDER.mkdir(exist_ok=True)
    size = 0
    for name, part in parts.items():
        text = HEAD + json.dumps(part, separators=(",", ":")) + TAIL
        (FOLDER / f"{name}.js").write_text(text, encoding="utf-8")
        size += len(gzip.compress(text.encode()))
    print(f"{FOLDER}: {len(parts)} files, {size:,} bytes compressed")


if __name__ == "__main__":
    main()
