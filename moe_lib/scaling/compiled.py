"""The compiled training step: loss, gradients and Adam as one graph."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from moe_lib.scaling.processes import num_processes, shared_step
from moe_lib.training import Autocast, Learn, plain_step


def compiled_step(model: nn.Module, optimizer: torch.optim.Adam, autocast: Autocast) -> Learn:
    r"""A training step through `torch.compile`:

        g = ∇ total;   m ← β₁ m + (1 - β₁) g;   v ← β₂ v + (1 - β₂) g²;   θ ← θ - lr m̂ / (√v̂ + ε)

    with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1). PyTorch's Adam
    does the same in a call of its own. Here each weight's update is one pass over its gradient as the product left it,
    and everything between the products is one pass, too. The moments are the optimiser's own, so a checkpoint knows no
    difference. What was compiled before in this process is forgotten. Explained in chapter 6.

    Hand it to `fit` as ``step=compiled_step``; it takes some seconds first. If compiling fails (no C++ compiler, a
    model that PyTorch cannot put into one graph, a PyTorch too old for gradients in a graph, several processes that
    would not share gradients), the step is taken uncompiled instead, after a warning.
    """
    if num_processes() > 1:
        _warn("a compiled step would not share gradients with the other processes")
        return shared_step(model, optimizer, autocast)
    fallback = plain_step(model, optimizer, autocast)
    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        _warn(f"PyTorch {torch.__version__} cannot compile gradients; a newer one can")
        return fallback
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
    t = start = int(states[0]["step"])
    groups = optimizer.param_groups
    step_sizes = [torch.zeros((), device=weights[0].device) for _ in groups]  # lr / (1 - β₁ᵗ)
    step_size_of = [size for size, group in zip(step_sizes, groups, strict=True) for _ in group["params"]]
    unbias = torch.zeros((), device=weights[0].device)  # 1 / (1 - β₂ᵗ)

    def step(x: Tensor, y: Tensor, noise: Any) -> Tensor:
        with autocast():
            loss = model(x, y, noise)
        gradients = torch.autograd.grad(loss.total, weights, allow_unused=True)
        with torch.no_grad():
            for p, g, (m, v), step_size in zip(weights, gradients, moments, step_size_of, strict=True):
                if g is None:  # a weight that the loss does not use stays as it is
                    continue
                m.lerp_(g, 1 - beta1)
                v.lerp_(g.square(), 1 - beta2)
                p.sub_(step_size * m / ((v * unbias).sqrt() + eps))
        return torch.stack(loss).detach()

    compiled = None
    failed = False

    def learn(x: Tensor, y: Tensor, noise: Any) -> Tensor:
        nonlocal compiled, failed, t
        if failed:
            return fallback(x, y, noise)
        unbias.fill_(1 / (1 - beta2 ** (t + 1)))
        for step_size, group in zip(step_sizes, groups, strict=True):
            step_size.fill_(group["lr"] / (1 - beta1 ** (t + 1)))
        try:
            compiled = compiled or torch.compile(step, fullgraph=True, dynamic=False)
            losses = compiled(x, y, noise)
        except RuntimeError as error:
            if t > start:  # it has worked before, so this is no failure to compile
                raise
            failed = True
            _warn((str(error).strip() or type(error).__name__).splitlines()[0])
            return fallback(x, y, noise)
        t += 1
        for state in states:
            state["step"].fill_(t)
        return losses

    return learn


def _warn(reason: str) -> None:
    warnings.warn(f"the training step is not compiled, which is slower and no less right: {reason}", stacklevel=4)
