"""The compiled step: the same training, the same checkpoints, and a way out where nothing can be compiled."""

import pytest
import torch
from test_training import assert_same_bits, needs_bf16, small_moe_vae, train, weights

from moe_lib import ImportanceCV2, Information, SwitchBalance, VAEExperts

compiles = pytest.mark.skipif(
    not hasattr(torch._dynamo.config, "trace_autograd_ops"), reason="this PyTorch cannot compile gradients"
)
pytestmark = pytest.mark.filterwarnings("error:the training step is not compiled")


@compiles
def test_the_compiled_step_trains_as_the_plain_one_does():
    plain, compiled = small_moe_vae(), small_moe_vae()
    assert train(compiled, compile=True).total == pytest.approx(train(plain).total, rel=1e-5)
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-3, atol=1e-5)


@compiles
@needs_bf16
def test_the_fast_path_of_chapter_6_trains_as_the_plain_one_does():
    exact = train(small_moe_vae())
    fast = train(small_moe_vae(), precision="bf16", compile=True)
    constant = small_moe_vae().experts.constant
    assert [loss - constant for loss in fast.expected] == pytest.approx(
        [loss - constant for loss in exact.expected], rel=5e-3
    )


@compiles
def test_a_schedule_reaches_the_compiled_step():
    plain = train(small_moe_vae(), schedule="one-cycle")
    assert train(small_moe_vae(), schedule="one-cycle", compile=True).total == pytest.approx(plain.total, rel=1e-5)


@compiles
@pytest.mark.parametrize("balance", [ImportanceCV2(1.0), SwitchBalance(1.0), Information(1.0), None])
def test_every_balancing_term_compiles(balance):
    plain, compiled = small_moe_vae(), small_moe_vae()
    plain.balance = compiled.balance = balance
    expected = train(plain, epochs=1).total
    assert train(compiled, epochs=1, compile=True).total == pytest.approx(expected, rel=1e-5)


@compiles
def test_experts_alone_and_several_rates_compile():
    torch.manual_seed(0)
    assert len(train(VAEExperts(2, 16, (8,), 2), compile=True)) == 3
    rates = {"manager": 1e-3, "experts": 1e-2}
    plain, compiled = train(small_moe_vae(), lr=rates), train(small_moe_vae(), lr=rates, compile=True)
    assert compiled.total == pytest.approx(plain.total, rel=1e-5)


@compiles
def test_a_compiled_run_resumes_bit_for_bit(tmp_path):
    whole, halves = small_moe_vae(), small_moe_vae()
    uninterrupted = train(whole, epochs=4, compile=True)
    train(halves, epochs=2, compile=True, checkpoint=tmp_path / "run.safetensors")
    resumed = small_moe_vae(seed=9)
    assert train(resumed, epochs=4, compile=True, checkpoint=tmp_path / "run.safetensors").total == uninterrupted.total
    assert_same_bits(weights(resumed), weights(whole))


@compiles
def test_many_runs_in_one_process_all_compile():
    for seed in range(10):  # PyTorch keeps eight graphs of one function, then gives up
        train(small_moe_vae(seed), epochs=1, compile=True)


@pytest.mark.filterwarnings("default:the training step is not compiled")
@compiles
def test_what_cannot_be_compiled_is_trained_all_the_same():
    plain, sparse = small_moe_vae(), small_moe_vae()
    plain.top_k = sparse.top_k = 2  # as many rows as an expert gets: known only when the step runs
    expected = train(plain).total
    with pytest.warns(UserWarning, match="the training step is not compiled, which is slower and no less right"):
        assert train(sparse, compile=True).total == expected


@pytest.mark.filterwarnings("default:the training step is not compiled")
def test_an_old_pytorch_says_so(monkeypatch):
    monkeypatch.delattr(torch._dynamo.config, "trace_autograd_ops", raising=False)
    with pytest.warns(UserWarning, match="cannot compile gradients; a newer one can"):
        assert train(small_moe_vae(), compile=True).total == train(small_moe_vae()).total
