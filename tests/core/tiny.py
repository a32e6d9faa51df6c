"""What the tests of the core share: tiny models, an obvious way to compute them, and processes that may die."""

import os
import traceback

import pytest
import torch
from hypothesis import settings
from torch import nn

from moe_lib import ExpertLinear, ImportanceVariance, Manager, MixtureOfExperts, RegressionExperts, VAEExperts, fit

few = settings(max_examples=25)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork") or torch.cuda.is_available(), reason="this system cannot fork")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")

IMAGES = torch.rand(32, 16, generator=torch.Generator().manual_seed(0))


def bad_images(good):
    """What images look like that were scaled some other way, and what is said of them."""
    nan, infinite = good.clone(), good.clone()
    nan[2, 3], infinite[5, 0] = float("nan"), float("inf")
    return [
        (good * 255, ValueError, r"run from .* expected \[0, 1\], where 0 is paper and 1 is ink. Divide .* by 255"),
        (2 * good - 1, ValueError, r"run from -0\.\d+ to .* undo a normalisation"),
        ((good - 0.13) / 0.31, ValueError, "undo a normalisation"),
        (good + 1e-3 * (good == good.max()), ValueError, r"run from .* to 1"),
        (nan, ValueError, "NaN or infinite values in 1 rows, the first is row 2"),
        (infinite, ValueError, "NaN or infinite values in 1 rows, the first is row 5"),
        ((good * 255).byte(), TypeError, r"torch\.uint8; give a float32 tensor: x\.float\(\) / 255"),
        (good.double(), TypeError, r"torch\.float64; give a float32 tensor: x\.float\(\)$"),
        (good.numpy(), TypeError, r"x is a ndarray; give a float32 tensor: torch\.as_tensor\(x\)\.float\(\)"),
        (good.view(-1, 4, 4), ValueError, r"try x\.flatten\(1\)"),
        (good[:, :9], ValueError, r"shape \(32, 9\); expected \(B, 16\), one example a row: resize"),
        (good[0], ValueError, r"shape \(16,\); expected \(B, 16\)"),
        (good[:0], ValueError, "at least one"),
        (torch.zeros(0, 4, 4), ValueError, r"try x\.flatten\(1\)"),
    ]


def as_loop(layer: ExpertLinear) -> list[nn.Linear]:
    """The same layers as plain nn.Linear modules."""
    experts, n_in, n_out = layer.weight.shape
    linears = [nn.Linear(n_in, n_out) for _ in range(experts)]
    for e, linear in enumerate(linears):
        linear.weight.data, linear.bias.data = layer.weight[e].T.detach().clone(), layer.bias[e, 0].detach().clone()
    return linears


def small_moe_vae(seed=0, hidden=8):
    torch.manual_seed(seed)
    experts = VAEExperts(num_experts=3, in_features=16, hidden=(hidden,), latent=2)
    return MixtureOfExperts(Manager(16, 3, hidden=(8,)), experts, ImportanceVariance(0.1))


def small_regression(wrap=lambda manager: manager, experts=RegressionExperts):
    torch.manual_seed(0)
    return MixtureOfExperts(wrap(Manager(1, 3, hidden=(4,))), experts(3), ImportanceVariance(0.2))


def train(model, **changes):
    given = {"epochs": 3, "batch_size": 8, "lr": 1e-2, "seed": 5, "device": "cpu", "progress": False} | changes
    images = given.pop("images", IMAGES)
    return fit(model, images, given.pop("targets", images), **given)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


class Counting(nn.Module):
    """A manager that counts the examples it has seen while learning, and trusts itself the more."""

    def __init__(self, manager):
        super().__init__()
        self.manager, self.in_features, self.num_experts = manager, manager.in_features, manager.num_experts
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.seen += len(x) if self.training else 0
        return self.manager(x) * (1 + self.seen)


class Normed(nn.Module):
    """A manager with batch normalisation: its answer in training depends on the batch, and it remembers batches."""

    def __init__(self, manager):
        super().__init__()
        self.manager, self.in_features, self.num_experts = manager, manager.in_features, manager.num_experts
        self.norm = nn.BatchNorm1d(manager.num_experts)
        nn.init.normal_(self.norm.bias)

    def forward(self, x):
        return self.norm(self.manager(x))


class NormedExperts(RegressionExperts):
    """Experts with the same trouble."""

    def __init__(self, num_experts):
        super().__init__(num_experts)
        self.norm = nn.BatchNorm1d(1)

    def predict(self, x):
        return super().predict(self.norm(x))


def forked(work) -> int:
    """Exit status of a child process that does the work, minus the signal where one has killed it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def assert_a_step_downhill_helps_the_neglected_expert(term) -> None:
    """A balancing term's gradient lowers the logit of an expert that gets nearly everything."""
    logits = torch.zeros(30, 4)
    logits[:, 0] = 4.0
    logits += 0.1 * torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    term(logits.softmax(1)).backward()
    assert logits.grad[:, 0].sum() > 0, "the busy expert's logit should go down"
