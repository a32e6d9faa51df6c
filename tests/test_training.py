"""The loop: equal to an obvious one, the same twice, resumed bit for bit, and never a silent mistake."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_layers import as_loop
from torch import nn

from moe_lib import (
    CheckpointError,
    ImportanceVariance,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    VAEExperts,
    best_of,
    fit,
    fit_parabolas,
    resolve_device,
    two_parabolas,
)
from moe_lib.training import has_bf16, one_cycle

needs_bf16 = pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this processor has no bfloat16 of its own")
IMAGES = torch.rand(64, 16, generator=torch.Generator().manual_seed(0))


def small_moe_vae(seed=0, hidden=8):
    torch.manual_seed(seed)
    experts = VAEExperts(num_experts=3, in_features=16, hidden=(hidden,), latent=2)
    return MixtureOfExperts(Manager(16, 3, hidden=(8,)), experts, ImportanceVariance(0.1))


def train(model, **changes):
    settings = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "seed": 5, "device": "cpu", "progress": False} | changes
    images = settings.pop("images", IMAGES)
    return fit(model, images, settings.pop("targets", images), **settings)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


class PlainMixture(nn.Module):
    """The obvious way: one nn.Linear after the other, a Python loop over experts, Adam as PyTorch gives it."""

    def __init__(self, model):
        super().__init__()
        self.manager = nn.ModuleList([as_loop(model.manager.layers[0])[0], as_loop(model.manager.layers[2])[0]])
        parts = [model.experts.encoder[0], model.experts.encoder[2], model.experts.decoder[0], model.experts.decoder[2]]
        self.experts = nn.ModuleList(nn.ModuleList(e) for e in zip(*(as_loop(part) for part in parts), strict=True))
        self.constant = model.experts.constant

    def loss(self, x, noise):
        p = self.manager[1](self.manager[0](x).sigmoid()).softmax(1)
        total = 0.1 * p.sum(0).var(correction=0)
        for e, (enc1, enc2, dec1, dec2) in enumerate(self.experts):
            mean, log_variance = enc2(enc1(x).sigmoid()).chunk(2, dim=1)
            variance = 1e-5 + log_variance.exp()
            image = dec2(dec1(mean + variance.sqrt() * noise[e]).sigmoid()).sigmoid()
            reconstruction = ((x - image) ** 2).sum(1) / (2 * 0.5**2) + self.constant
            kl = 0.5 * (variance + mean**2 - 1 - variance.log()).sum(1)
            total = total + (p[:, e] * (reconstruction + kl)).mean()
        return total


def test_fit_equals_a_plain_loop_over_linear_experts():
    model = small_moe_vae()
    plain = PlainMixture(model)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2)
    order = torch.Generator().manual_seed(5)
    noise = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=order)))
    totals = []
    for _ in range(3):
        batches = IMAGES[torch.randperm(64, generator=order)].split(16)
        losses = []
        for x in batches:
            loss = plain.loss(x, torch.randn((3, 16, 2), generator=noise))
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        totals.append(sum(losses) / 4)

    history = train(model)
    assert history.total == pytest.approx(totals, rel=1e-6)
    for e, (enc1, *_, dec2) in enumerate(plain.experts):
        torch.testing.assert_close(model.experts.encoder[0].weight[e].T, enc1.weight, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(model.experts.decoder[2].weight[e].T, dec2.weight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.manager.layers[2].weight[0].T, plain.manager[1].weight, rtol=1e-4, atol=1e-6)


def test_a_run_repeats_bit_for_bit_and_leaves_the_global_seed_alone():
    torch.manual_seed(123)
    expected = torch.rand(1)
    first, second, other = small_moe_vae(), small_moe_vae(), small_moe_vae()
    torch.manual_seed(123)
    one, two = train(first), train(second)
    assert torch.equal(torch.rand(1), expected)
    assert one.total == two.total
    assert_same_bits(weights(first), weights(second))
    assert train(other, seed=6).total != one.total


def test_training_helps():
    history = train(small_moe_vae(), epochs=20)
    assert history.expected[-1] < history.expected[0] - 0.3
    assert len(history) == len(history.balancing) == len(history.seconds) == 20
    assert history.total == [e + b for e, b in zip(history.expected, history.balancing, strict=True)]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, stop):
    whole, halves = small_moe_vae(), small_moe_vae()
    uninterrupted = train(whole, epochs=5)
    train(halves, epochs=stop, checkpoint=tmp_path / "run.safetensors")
    resumed_model = small_moe_vae(seed=99)  # other weights: the checkpoint brings its own
    resumed = train(resumed_model, epochs=5, checkpoint=tmp_path / "run.safetensors")
    assert resumed.total == uninterrupted.total
    assert_same_bits(weights(resumed_model), weights(whole))


KILLED = """
import sys, time, torch
sys.path.insert(0, sys.argv[2])
from test_training import small_moe_vae, train
train(small_moe_vae(), epochs=400, checkpoint=sys.argv[1], on_epoch=lambda epoch, model: time.sleep(0.01))
"""


def test_a_run_killed_in_the_middle_resumes_to_the_same_weights(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(checkpoint), os.path.dirname(__file__)])
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()

    resumed, whole = small_moe_vae(), small_moe_vae()
    epochs = []
    history = train(resumed, epochs=400, checkpoint=checkpoint, on_epoch=lambda epoch, model: epochs.append(epoch))
    assert 0 < len(epochs) < 400, "it should have gone on from the middle"
    assert history.total == train(whole, epochs=400).total
    assert_same_bits(weights(resumed), weights(whole))


def test_a_torn_checkpoint_is_refused_and_kept(tmp_path):
    path = tmp_path / "run.safetensors"
    train(small_moe_vae(), checkpoint=path)
    torn = path.read_bytes()[:-100]
    path.write_bytes(torn)
    with pytest.raises(CheckpointError, match=r"no whole checkpoint.*Delete it"):
        train(small_moe_vae(), checkpoint=path)
    assert path.read_bytes() == torn


def other(change):
    model = small_moe_vae()
    change(model)
    return model


@pytest.mark.parametrize(
    ("resume", "message"),
    [
        (lambda **c: train(small_moe_vae(hidden=9), **c), "another run: model"),
        (lambda **c: train(other(lambda m: setattr(m, "balance", ImportanceVariance(0.2))), **c), "another run: model"),
        (lambda **c: train(other(lambda m: setattr(m.experts, "decoder_std", 0.1)), **c), "another run: model"),
        (lambda **c: train(small_moe_vae(), lr=0.02, **c), r"lr \[0\.01\] there, \[0\.02\] here"),
        (lambda **c: train(small_moe_vae(), seed=6, **c), "seed 5 there, 6 here"),
        pytest.param(
            lambda **c: train(small_moe_vae(), precision="bf16", **c),
            "precision fp32 there, bf16 here",
            marks=needs_bf16,
        ),
        (lambda **c: train(small_moe_vae(), epochs=2, **c), "has 3 epochs, more than the 2 asked for"),
        (lambda **c: train(small_moe_vae(), images=IMAGES.flip(0), **c), "another run: data"),
        (lambda **c: train(small_moe_vae(), targets=IMAGES.flip(0), **c), "another run: data"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path, resume, message):
    path = tmp_path / "run.safetensors"
    train(small_moe_vae(), checkpoint=path)
    kept = path.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        resume(checkpoint=path)
    assert path.read_bytes() == kept


def test_a_checkpoint_that_lacks_a_part_is_refused_before_the_model_is_touched(tmp_path):
    path = tmp_path / "run.safetensors"
    train(small_moe_vae(), checkpoint=path)
    with safe_open(path, framework="pt") as stored:
        text = stored.metadata()
    tensors = load_file(path)
    del tensors["adam.0.exp_avg"]
    save_file(tensors, path, metadata=text)
    model = small_moe_vae(seed=3)
    before = weights(model)
    with pytest.raises(CheckpointError, match=r"adam\.0\.exp_avg"):
        train(model, checkpoint=path)
    assert_same_bits(weights(model), before)


def test_a_checkpoint_with_more_epochs_is_refused_before_the_model_is_touched(tmp_path):
    train(small_moe_vae(), checkpoint=tmp_path / "run.safetensors")
    model = small_moe_vae(seed=3)
    before = weights(model)
    with pytest.raises(CheckpointError, match="has 3 epochs, more than the 2 asked for"):
        train(model, epochs=2, checkpoint=tmp_path / "run.safetensors")
    assert_same_bits(weights(model), before)


def test_a_folder_in_place_of_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        train(small_moe_vae(), checkpoint=tmp_path)


def test_an_interrupted_fit_leaves_a_model_that_can_be_used():
    def stop(epoch, model):
        if epoch == 2:
            raise KeyboardInterrupt

    model = small_moe_vae()
    with pytest.raises(KeyboardInterrupt):
        train(model, on_epoch=stop)
    assert not model.training


def test_a_safetensors_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        train(small_moe_vae(), checkpoint=path)


def test_a_pickle_in_place_of_a_checkpoint_is_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save(Bomb(), tmp_path / "run.safetensors")
    with pytest.raises(CheckpointError):
        train(small_moe_vae(), checkpoint=tmp_path / "run.safetensors")
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_holds_tensors_and_text_only(tmp_path):
    path = tmp_path / "deeper" / "run.safetensors"
    train(small_moe_vae(), checkpoint=path)
    assert {name.split(".")[0] for name in load_file(path)} == {"model", "adam", "generator"}
    assert [p.name for p in path.parent.iterdir()] == ["run.safetensors"], "nothing is left lying about"


def test_a_diverging_run_stops_and_keeps_its_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    good = {}

    class Breaks(RegressionExperts):
        def losses(self, x, y, noise=None):
            if self.training and len(good) == 2:
                return super().losses(x, y, noise) * float("inf")
            return super().losses(x, y, noise)

    points = two_parabolas(64)
    with pytest.raises(FloatingPointError, match=r"epoch 3 ended.*try a smaller lr"):
        fit(
            Breaks(2), points.x, points.y, epochs=5, batch_size=16, lr=0.1, seed=0, device="cpu", progress=False,
            checkpoint=path, on_epoch=lambda epoch, model: epoch and good.update({epoch: path.read_bytes()}),
        )  # fmt: skip
    assert path.read_bytes() == good[2]


def test_weights_that_blow_up_in_the_last_step_are_not_returned():
    with pytest.raises(FloatingPointError, match="weights"):
        train(small_moe_vae(), epochs=1, batch_size=64, lr=1e39)


def test_left_over_examples_change_every_epoch_and_are_dropped():
    seen = []

    class Spy(RegressionExperts):
        def losses(self, x, y, noise=None):
            seen.append(x.flatten().tolist())
            return super().losses(x, y, noise)

    x = torch.arange(10.0).unsqueeze(1)
    fit(Spy(1), x, x, epochs=6, batch_size=4, lr=1e-3, seed=0, device="cpu", progress=False)
    assert [len(batch) for batch in seen] == [4] * 12
    assert {value for batch in seen for value in batch} == set(range(10))


def test_one_learning_rate_for_each_part():
    model = small_moe_vae()
    before = weights(model)
    train(model, epochs=1, lr={"manager": 1e-12, "experts": 1e-2})
    moved = {name: (value - before[name]).abs().max().item() for name, value in weights(model).items()}
    assert max(v for n, v in moved.items() if n.startswith("manager")) < 1e-9
    assert min(v for n, v in moved.items() if n.startswith("experts")) > 1e-3


@needs_bf16
def test_bf16_gives_nearly_the_same_losses():
    exact, rounded = train(small_moe_vae()), train(small_moe_vae(), precision="bf16")
    constant = small_moe_vae().experts.constant  # what no rounding can change
    got, wanted = ([loss - constant for loss in run.expected] for run in (rounded, exact))
    assert got == pytest.approx(wanted, rel=5e-3)
    assert got != wanted


def test_without_bf16_it_warns_and_computes_in_float32(monkeypatch):
    monkeypatch.setattr("moe_lib.training.has_bf16", lambda device: False)
    with pytest.warns(UserWarning, match="no bfloat16 of its own: computing in float32"):
        assert train(small_moe_vae(), precision="bf16").total == train(small_moe_vae()).total


def test_one_cycle_rises_for_three_tenths_and_falls_to_nothing():
    rates = [one_cycle(done / 1000) for done in range(1001)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1)
    assert rates.index(max(rates)) == 300
    assert rates[1000] < 1e-4
    assert rates[:301] == sorted(rates[:301])
    assert rates[300:] == sorted(rates[300:], reverse=True)


def test_a_schedule_changes_the_run_and_resumes_bit_for_bit(tmp_path):
    whole, halves = small_moe_vae(), small_moe_vae()
    uninterrupted = train(whole, epochs=4, schedule="one-cycle")
    assert uninterrupted.total != train(small_moe_vae(), epochs=4).total

    def stop(epoch, model):
        if epoch == 2:
            raise KeyboardInterrupt

    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(halves, epochs=4, schedule="one-cycle", checkpoint=path, on_epoch=stop)
    resumed = small_moe_vae(seed=9)
    assert train(resumed, epochs=4, schedule="one-cycle", checkpoint=path).total == uninterrupted.total
    assert_same_bits(weights(resumed), weights(whole))
    with pytest.raises(CheckpointError, match="epochs 4 there, 6 here"):
        train(small_moe_vae(), epochs=6, schedule="one-cycle", checkpoint=path)


def test_on_epoch_sees_zero_first():
    seen, trained = [], small_moe_vae()
    train(trained, on_epoch=lambda epoch, model: seen.append((epoch, model is trained)))
    assert seen == [(0, True), (1, True), (2, True), (3, True)]


def test_on_epoch_sees_the_model_in_evaluation_and_training_goes_on():
    modes, trained = [], small_moe_vae()
    trained.manager.register_forward_hook(lambda module, given, result: modes.append(("learns", module.training)))
    train(trained, on_epoch=lambda epoch, model: modes.append(("looks", model.training)))
    assert set(modes) == {("learns", True), ("looks", False)}


def test_best_of_keeps_the_lowest_training_loss():
    points = two_parabolas(100)
    runs = {s: fit_parabolas(points, s, epochs=3)[1].total[-1] for s in range(4)}
    _, history, seed = best_of(lambda s: fit_parabolas(points, s, epochs=3), range(4))
    assert seed == min(runs, key=runs.get)
    assert history.total[-1] == min(runs.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 65}, "batch_size is 65 for 64 examples"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 2.5}, "epochs is 2.5; train for a whole number"),
        ({"lr": 0.0}, "a learning rate must be positive"),
        ({"lr": float("inf")}, "a learning rate must be positive and finite"),
        ({"targets": IMAGES[:9]}, "x has 64 examples and y has 9"),
        ({"images": IMAGES * 255}, "pixels of x run from"),
        ({"images": IMAGES[:0]}, "at least one"),
        ({"lr": {"manager": 0.1}}, r"lr names \['manager'\]; the model's parts are \['experts', 'manager'\]"),
        ({"precision": "fp8"}, "precision is 'fp8'; choose one of fp32, bf16"),
        ({"schedule": "linear"}, "schedule is 'linear'; choose one of constant, one-cycle"),
        ({"device": "tpu"}, "device is 'tpu'; choose one of cuda, mps, cpu"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        train(small_moe_vae(), **changes)


def test_double_precision_is_refused_with_the_way_out():
    model = small_moe_vae()
    with pytest.raises(TypeError, match=r"torch\.float64.*\.float\(\)"):
        train(model, images=IMAGES.double())


def test_best_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        best_of(lambda s: None, [])


def test_there_is_no_room_for_labels():
    with pytest.raises(TypeError, match="labels"):
        train(small_moe_vae(), labels=torch.zeros(64))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match="this machine has none"):
        resolve_device("cuda")
