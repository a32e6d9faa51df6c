"""The compiled step: the same training, the same checkpoints, and a way out where nothing can be compiled.

Most of these tests let PyTorch find the graph, one graph for the whole run, and then run it as Python: what a C++
compiler makes of a graph is seen once.
"""

import pytest
import torch
from torch._dynamo.utils import counters

from moe_lib import (
    ImportanceCV2,
    ImportanceVariance,
    Information,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    SwitchBalance,
    VAEExperts,
)
from moe_lib.ladder import (
    AnnealedManager,
    BiasedManager,
    ConvManager,
    ConvVAEExperts,
    Floor,
    GateKL,
    InvariantMixture,
    LikelihoodMixture,
    MixtureExperts,
    MixtureTree,
    PrototypeExperts,
    SinkhornManager,
    StackedManagers,
    SumOf,
    one_cycle,
)
from moe_lib.scaling import SparseMixture, compiled_step

from .small import DIGITS, IMAGES, assert_same_bits, needs_bf16, small_moe_vae, train, weights

compiles = pytest.mark.skipif(
    not hasattr(torch._dynamo.config, "trace_autograd_ops"), reason="this PyTorch cannot compile gradients"
)
pytestmark = pytest.mark.filterwarnings("error:the training step is not compiled")
ALL_TERMS = SumOf(
    ImportanceVariance(0.1), ImportanceCV2(1.0), SwitchBalance(1.0), Information(1.0), Floor(1.0), GateKL(1.0)
)


@pytest.fixture
def as_python(monkeypatch):
    """What `torch.compile` puts into a graph is run without a compiler; one graph must be enough for a run."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda step, **options: compile(step, backend="eager", **options))
    with torch._dynamo.config.patch(recompile_limit=1):
        yield


def assert_trains_alike(build, x=IMAGES, **options):
    """Plain and compiled, in one graph: the same curve. Gives both models."""
    plain, compiled = build(), build()
    expected = train(plain, x, **options).total
    counters.clear()
    found = train(compiled, x, step=compiled_step, **options).total
    assert counters["stats"]["unique_graphs"] == 1
    constant = getattr(getattr(plain, "experts", plain), "constant", 0.0)  # no training changes it, and it is large
    assert [total - constant for total in found] == pytest.approx([total - constant for total in expected], rel=1e-4)
    return plain, compiled


def tiny(seed=0, kind=MixtureOfExperts, wrap=lambda manager: manager, balance=None):
    """As few operations as a mixture of VAEs can have."""
    torch.manual_seed(seed)
    return kind(wrap(Manager(16, 3, hidden=())), VAEExperts(3, 16, (), 2), balance)


@compiles
def test_the_compiled_step_trains_as_the_plain_one_does():
    """With every balancing term, a schedule and two rates. A compiler works on it for a while."""
    plain, compiled = assert_trains_alike(
        lambda: tiny(balance=ALL_TERMS), lr={"manager": 1e-3, "experts": 1e-2}, schedule=one_cycle
    )
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-3, atol=1e-5)


@compiles
@needs_bf16
def test_the_fast_path_of_chapter_6_trains_as_the_plain_one_does():
    exact = train(tiny(balance=ALL_TERMS))
    fast = train(tiny(balance=ALL_TERMS), precision="bf16", step=compiled_step)
    constant = tiny().experts.constant
    assert [loss - constant for loss in fast.expected] == pytest.approx(
        [loss - constant for loss in exact.expected], rel=5e-3
    )


def frozen():
    torch.manual_seed(0)
    model = MixtureOfExperts(Manager(16, 2, hidden=()), RegressionExperts(2, 16, 16))
    model.manager.requires_grad_(False)
    return model


def wrapped(manager):
    return AnnealedManager(BiasedManager(SinkhornManager(manager), rate=0.1), start=5.0, steps=6)


def tree():
    torch.manual_seed(0)
    below = MixtureExperts(StackedManagers(2, 16, 2, hidden=()), RegressionExperts(4, 16, 16), ImportanceCV2(1.0))
    return MixtureTree(Manager(16, 2, hidden=()), below, ImportanceCV2(1.0))


def invariant():
    torch.manual_seed(0)
    return InvariantMixture(ConvManager(2, channels=(2, 2), hidden=4), ConvVAEExperts(2, (), 2, channels=(2, 2)))


def prototypes(free):
    torch.manual_seed(0)
    return MixtureOfExperts(Manager(784, 2, hidden=()), PrototypeExperts(DIGITS[:2], hidden=4, free=free))


MODELS = {
    "experts alone": (lambda: tiny().experts, IMAGES),
    "regressions of a frozen manager": (frozen, IMAGES),
    "a likelihood of managers around managers": (lambda: tiny(kind=LikelihoodMixture, wrap=wrapped), IMAGES),
    "a tree": (tree, IMAGES),
    "convolutions that are invariant": (invariant, DIGITS),
    "prototypes": (lambda: prototypes(5), DIGITS),
    "prototypes that rest": (lambda: prototypes(0), DIGITS),  # whose encoder gets no gradient
}


@compiles
@pytest.mark.parametrize("name", MODELS)
def test_every_model_goes_into_one_graph(name, as_python):
    build, x = MODELS[name]
    assert_trains_alike(build, x, batch_size=8, epochs=2)


@compiles
def test_a_compiled_run_resumes_bit_for_bit(tmp_path, as_python):
    whole, halves, resumed = tiny(), tiny(), tiny(seed=9)
    uninterrupted = train(whole, epochs=3, step=compiled_step)
    train(halves, epochs=1, step=compiled_step, checkpoint=tmp_path / "run.safetensors")
    found = train(resumed, epochs=3, step=compiled_step, checkpoint=tmp_path / "run.safetensors")
    assert found.total == uninterrupted.total
    assert_same_bits(weights(resumed), weights(whole))


@compiles
def test_many_runs_in_one_process_all_compile(as_python):
    for seed in range(3):  # PyTorch keeps a few graphs of one function, here one, then gives up
        train(tiny(seed), epochs=1, step=compiled_step)


@pytest.mark.filterwarnings("default:the training step is not compiled")
@compiles
def test_what_cannot_be_compiled_is_trained_all_the_same():
    """How many rows the busiest expert gets is known only when the step runs."""
    expected = train(tiny(kind=SparseMixture)).total
    with pytest.warns(UserWarning, match="not compiled, which is slower and no less right") as said:
        assert train(tiny(kind=SparseMixture), step=compiled_step).total == expected
    assert sum("not compiled" in str(one.message) for one in said) == 1


@compiles
def test_a_step_that_fails_later_is_no_failure_to_compile(monkeypatch):
    def breaks_down(step, **options):
        calls = iter((step, None))

        def called(*batch):
            if (step := next(calls)) is None:
                raise RuntimeError("out of memory")
            return step(*batch)

        return called

    monkeypatch.setattr(torch, "compile", breaks_down)
    with pytest.raises(RuntimeError, match="out of memory"):
        train(small_moe_vae(), step=compiled_step)


@pytest.mark.filterwarnings("default:the training step is not compiled")
def test_an_old_pytorch_says_so(monkeypatch):
    monkeypatch.delattr(torch._dynamo.config, "trace_autograd_ops", raising=False)
    with pytest.warns(UserWarning, match="cannot compile gradients; a newer one can"):
        assert train(small_moe_vae(), step=compiled_step).total == train(small_moe_vae()).total
