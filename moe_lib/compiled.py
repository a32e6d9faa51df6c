"""The compiled training step: loss, gradients and Adam as one graph."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from moe_lib.experts import Objective

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""One training step on a batch: (x, y, noise) to its losses, expected and balancing (2,)."""


def compiled_step(
    objective: Callable[[Tensor, Tensor, Tensor], Objective], optimizer: torch.optim.Adam, otherwise: Step
) -> Step:
    r"""A training step through `torch.compile`:

        g = ∇ total;   m ← β₁ m + (1 - β₁) g;   v ← β₂ v + (1 - β₂) g²;   θ ← θ - lr m̂ / (√v̂ + ε)

    with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1). PyTorch's Adam
    does the same in a call of its own, for which all gradients go out to memory and come back; in one graph they are
    used where they arise. The moments are the optimiser's own, so a checkpoint knows no difference. Chapter 6.

    Args:
        objective: the two parts of the loss of a batch.
        optimizer: Adam with its plain settings; its learning rates are read anew at every step.
        otherwise: the same step, not compiled. If compiling fails (no C++ compiler, a model that PyTorch cannot put
            into one graph, a PyTorch too old for gradients in a graph), it is taken instead, after a warning.
    """
    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        _warn(f"PyTorch {torch.__version__} cannot compile gradients; a newer one can")
        return otherwise
    torch._dynamo.config.trace_autograd_ops = True
    torch.compiler.reset()  # each run is a graph of its own, and PyTorch keeps only a few

    weights = [p for group in optimizer.param_groups for p in group["params"]]
    for p in weights:
        if not optimizer.state[p]:
            zeros = {"step": torch.zeros((), device=p.device)}
            optimizer.state[p] |= zeros | {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
    states = [optimizer.state[p] for p in weights]
    moments = [(state["exp_avg"], state["exp_avg_sq"]) for state in states]
    (beta1, beta2), eps = optimizer.defaults["betas"], optimizer.defaults["eps"]
    t = int(states[0]["step"])
    rates = [torch.zeros((), device=p.device) for p in weights]  # lr / (1 - β₁ᵗ), one for each weight
    unbias = torch.zeros((), device=weights[0].device)  # 1 / (1 - β₂ᵗ)

    @torch.compile(fullgraph=True, dynamic=False)
    def step(x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        loss = objective(x, y, noise)
        gradients = torch.autograd.grad(loss.total, weights)
        with torch.no_grad():
            for p, g, (m, v), rate in zip(weights, gradients, moments, rates, strict=True):
                m.lerp_(g, 1 - beta1)
                v.lerp_(g.square(), 1 - beta2)
                p.sub_(rate * m / ((v * unbias).sqrt() + eps))
        return torch.stack(loss).detach()

    failed = False

    def try_step(x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        nonlocal failed, t
        if failed:
            return otherwise(x, y, noise)
        unbias.fill_(1 / (1 - beta2 ** (t + 1)))
        lrs = [group["lr"] for group in optimizer.param_groups for _ in group["params"]]
        for rate, lr in zip(rates, lrs, strict=True):
            rate.fill_(lr / (1 - beta1 ** (t + 1)))
        try:
            losses = step(x, y, noise)
        except torch._dynamo.exc.TorchDynamoException as error:  # while compiling: nothing has been changed yet
            failed = True
            _warn(str(error).strip().splitlines()[0])
            return otherwise(x, y, noise)
        t += 1
        for state in states:
            state["step"].fill_(t)
        return losses

    return try_step


def _warn(reason: str) -> None:
    warnings.warn(f"the training step is not compiled, which is slower and no less right: {reason}", stacklevel=4)
