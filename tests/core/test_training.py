"""The loop: equal to an obvious one, the same twice, and never a silent mistake. Checkpoints: test_checkpoint."""

import contextlib
import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from core.tiny import (
    IMAGES,
    Counting,
    as_loop,
    assert_same_bits,
    needs_cuda,
    small_moe_vae,
    small_regression,
    train,
    weights,
)
from moe_lib import (
    CooperatingExperts,
    FixedManager,
    History,
    Manager,
    MixtureOfExperts,
    Objective,
    RegressionExperts,
    best_of,
    evaluate,
    fit,
    fit_parabolas,
    two_parabolas,
)
from moe_lib.training import has_bf16, plain_step, resolve_device, resolve_precision, seeded

POINTS = two_parabolas(100)


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
        expected, balancing = 0.0, 0.1 * p.sum(0).var(correction=0)
        for e, (enc1, enc2, dec1, dec2) in enumerate(self.experts):
            mean, log_variance = enc2(enc1(x).sigmoid()).chunk(2, dim=1)
            variance = 1e-5 + log_variance.exp()
            image = dec2(dec1(mean + variance.sqrt() * noise[e]).sigmoid()).sigmoid()
            reconstruction = ((x - image) ** 2).sum(1) / (2 * 0.5**2) + self.constant
            kl = 0.5 * (variance + mean**2 - 1 - variance.log()).sum(1)
            expected = expected + (p[:, e] * (reconstruction + kl)).mean()
        return expected, balancing


@pytest.mark.parametrize("lr", [1e-2, {"manager": 3e-3, "experts": 2e-2}])
@pytest.mark.parametrize("schedule", [None, lambda done: 1.5 - done])
def test_fit_equals_a_plain_loop_over_linear_experts(lr, schedule):
    model = small_moe_vae()
    plain = PlainMixture(model)
    rates = lr if isinstance(lr, dict) else dict.fromkeys(("manager", "experts"), lr)
    adam = torch.optim.Adam([{"params": getattr(plain, part).parameters(), "lr": rates[part]} for part in rates])
    order = torch.Generator().manual_seed(5)
    noise = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=order)))
    expected, balancing, steps = [], [], 0
    for _ in range(3):
        seen = []
        for x in IMAGES[torch.randperm(32, generator=order)].split(8):
            for group, rate in zip(adam.param_groups, rates.values(), strict=True):
                group["lr"] = rate * (schedule(steps / 12) if schedule else 1)
            losses = plain.loss(x, torch.randn((3, 8, 2), generator=noise))
            adam.zero_grad()
            sum(losses).backward()
            adam.step()
            steps += 1
            seen.append([loss.item() for loss in losses])
        for curve, values in zip((expected, balancing), zip(*seen, strict=True), strict=True):
            curve.append(sum(values) / 4)

    history = train(model, lr=lr, schedule=schedule)
    assert history.expected == pytest.approx(expected, rel=1e-6)
    assert history.balancing == pytest.approx(balancing, rel=1e-4)
    for e, (enc1, *_, dec2) in enumerate(plain.experts):
        torch.testing.assert_close(model.experts.encoder[0].weight[e].T, enc1.weight, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(model.experts.decoder[2].weight[e].T, dec2.weight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.manager.layers[2].weight[0].T, plain.manager[1].weight, rtol=1e-4, atol=1e-6)


def test_a_run_repeats_bit_for_bit():
    first, second, other = small_moe_vae(), small_moe_vae(), small_moe_vae()
    one, two = train(first), train(second)
    assert one.total == two.total
    assert_same_bits(weights(first), weights(second))
    assert train(other, seed=6).total != one.total


def test_training_helps():
    history = train(small_moe_vae(), epochs=20)
    assert history.expected[-1] < history.expected[0] - 0.3
    assert len(history) == len(history.balancing) == len(history.seconds) == 20
    assert history.total == [e + b for e, b in zip(history.expected, history.balancing, strict=True)]


def test_seconds_are_those_of_the_epochs(monkeypatch):
    clock = itertools.count()  # a second later whenever it is asked
    monkeypatch.setattr("moe_lib.training.time.perf_counter", lambda: next(clock))
    history = train(small_moe_vae(), on_epoch=lambda epoch, model: next(clock))
    assert history.seconds == [1, 1, 1], "looking is not training"


@pytest.mark.parametrize(
    "work",
    [
        lambda: train(moe_vae_of_16()),
        lambda: fit_parabolas(POINTS, seed=3, epochs=1),
        lambda: best_of(lambda seed: fit_parabolas(POINTS, seed, epochs=1), [1, 2]),
        lambda: evaluate(moe_vae_of_16(), IMAGES, IMAGES, seed=1),
        lambda: moe_vae_of_16().assign(IMAGES),
        lambda: moe_vae_of_16().generate(0, 3, seed=1),
        lambda: two_parabolas(10, seed=1),
    ],
)
def test_the_global_random_state_is_nobody_s(work):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    work()
    assert torch.equal(torch.rand(3), expected)


def moe_vae_of_16():
    with seeded(0):
        return small_moe_vae()


@needs_cuda
def test_a_gpu_s_random_state_is_nobody_s_either():
    torch.cuda.manual_seed(123)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(123)
    fit_parabolas(POINTS, seed=3, epochs=1, device="cuda")
    assert torch.equal(torch.rand(3, device="cuda"), expected)


def test_seeded_weights_are_those_of_the_seed():
    torch.manual_seed(7)
    expected = Manager(2, 2).layers[0].weight
    with seeded(np.int64(7)):
        assert torch.equal(Manager(2, 2).layers[0].weight, expected)
    with pytest.raises(TypeError), seeded(0.5):
        pass


def test_data_that_wants_gradients_gets_none():
    x, y = IMAGES.clone().requires_grad_(), IMAGES.clone().requires_grad_()
    same, different = train(small_moe_vae(), images=x), train(small_moe_vae(), images=x, targets=y)
    assert x.grad is None
    assert y.grad is None
    assert same.total == different.total == train(small_moe_vae()).total


def test_pairs_stay_pairs():
    seen = []

    class Spy(RegressionExperts):
        def losses(self, x, y, noise=None):
            seen.append((x, y))
            return super().losses(x, y, noise)

    x = torch.arange(10.0).unsqueeze(1)
    fit(Spy(1), x, 2 * x + 1, epochs=2, batch_size=5, lr=1e-3, seed=0, device="cpu", progress=False)
    for xs, ys in seen:
        assert torch.equal(ys, 2 * xs + 1)


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
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert len({*first, *second}) == 8, "no example twice in an epoch"


def test_a_batch_may_be_all_there_is():
    assert len(train(small_moe_vae(), batch_size=32, epochs=2)) == 2


def test_weights_that_blow_up_in_the_last_step_are_not_returned():
    with pytest.raises(FloatingPointError, match=r"not finite after epoch 1; try a smaller lr"):
        train(small_moe_vae(), epochs=1, batch_size=32, lr=1e39)


def test_a_loss_that_is_not_finite_stops_the_run():
    class Breaks(RegressionExperts):
        def losses(self, x, y, noise=None):
            return super().losses(x, y, noise) + (float("inf") if len(history) == 2 else 0)

    history = []
    with pytest.raises(FloatingPointError, match=r"a loss or weight is not finite after epoch 3; try a smaller lr"):
        fit(
            Breaks(2), POINTS.x, POINTS.y, epochs=5, batch_size=50, lr=1e-9, seed=0, device="cpu", progress=False,
            on_epoch=lambda epoch, model: history.append(epoch) if epoch else None,
        )  # fmt: skip
    assert history == [1, 2]


def test_frozen_weights_stay_and_the_others_learn():
    model = small_moe_vae()
    model.manager.requires_grad_(False)
    model.experts.encoder.requires_grad_(False)
    before = weights(model)
    train(model, epochs=1, lr={"experts": 1e-2})
    moved = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("experts.decoder")}


def test_a_schedule_is_asked_at_each_step_for_the_share_of_steps_done():
    asked = []
    train(small_moe_vae(), epochs=3, batch_size=10, schedule=lambda done: asked.append(done) or 1.0)
    assert asked == pytest.approx([step / 9 for step in range(9)])


def test_a_schedule_multiplies_the_rate():
    halved, lower = small_moe_vae(), small_moe_vae()
    train(halved, lr=1e-2, schedule=lambda done: 0.5)
    train(lower, lr=5e-3)
    assert_same_bits(weights(halved), weights(lower))


def test_another_step_learns_instead():
    calls = []

    def counted(model, optimizer, autocast):
        learn = plain_step(model, optimizer, autocast)
        return lambda x, y, noise: calls.append(x.shape) or learn(x, y, noise)

    model, usual = small_moe_vae(), small_moe_vae()
    assert train(model, step=counted).total == train(usual).total
    assert calls == [(8, 16)] * 12
    assert_same_bits(weights(model), weights(usual))


def test_on_epoch_sees_zero_first_and_the_model_in_evaluation():
    seen, trained = [], small_moe_vae()
    trained.manager.register_forward_hook(lambda module, given, result: seen.append(module.training))
    train(trained, batch_size=32, on_epoch=lambda epoch, model: seen.append((epoch, model is trained, model.training)))
    assert seen == [(0, True, False), True, (1, True, False), True, (2, True, False), True, (3, True, False)]


def test_fit_leaves_a_model_in_evaluation():
    model = small_moe_vae()
    assert model.training
    train(model, epochs=1)
    assert not any(part.training for part in model.modules())


@pytest.mark.parametrize("what", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_fit_leaves_a_model_that_can_be_used(what):
    def stop(epoch, model):
        if epoch == 2:
            raise what

    model = small_moe_vae()
    with pytest.raises(what):
        train(model, on_epoch=stop)
    assert not any(part.training for part in model.modules())
    assert model.assign(IMAGES).shape == (32,)


def test_looks_are_kept_as_they_were_seen():
    seen = {}

    def look(epoch, model):
        weight = model.experts.layers[0].weight
        seen[epoch] = weight.detach().clone()
        return weight if epoch != 1 else None

    _, history = fit_parabolas(POINTS, seed=0, epochs=3, on_epoch=look)
    assert list(history.looks) == [0, 2, 3]
    for epoch, kept in history.looks.items():
        assert torch.equal(kept, seen[epoch])
        assert not kept.requires_grad


def test_a_number_may_be_looked_at_too():
    _, history = fit_parabolas(POINTS, seed=0, epochs=1, on_epoch=lambda epoch, model: epoch + 0.5)
    assert {epoch: kept.item() for epoch, kept in history.looks.items()} == {0: 0.5, 1: 1.5}
    assert fit_parabolas(POINTS, seed=0, epochs=1)[1].looks == {}


class Elsewhere(RegressionExperts):
    """Experts that remember where they were sent."""

    def to(self, device):
        self.__dict__.setdefault("journey", []).append(str(device))
        return super().to(device)


@pytest.mark.parametrize(("lr", "ends"), [(0.01, contextlib.nullcontext()), (1e39, pytest.raises(FloatingPointError))])
def test_a_model_comes_home_whatever_happened(lr, ends):
    experts = Elsewhere(2)
    with ends:
        fit(experts, POINTS.x, POINTS.y, epochs=1, batch_size=50, lr=lr, seed=0, device="cpu:0", progress=False)
    assert experts.journey == ["cpu:0", "cpu"]


@needs_cuda
def test_a_gpu_learns_and_the_model_comes_home():
    model = small_moe_vae()
    history = train(model, device="cuda")
    assert history.total == pytest.approx(train(small_moe_vae()).total, rel=0.1)
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_bf16_gives_nearly_the_same_losses(monkeypatch):
    monkeypatch.setattr("moe_lib.training.has_bf16", lambda device: True)  # slowly, where a processor has none
    models = small_moe_vae(), small_moe_vae()
    exact, rounded = train(models[0]), train(models[1], precision="bf16")
    constant = models[0].experts.constant  # what no rounding can change
    got, wanted = ([loss - constant for loss in run.expected] for run in (rounded, exact))
    assert got == pytest.approx(wanted, rel=5e-3)
    assert got != wanted
    assert {p.dtype for p in models[1].parameters()} == {torch.float32}


def test_without_bf16_it_warns_and_computes_in_float32(monkeypatch):
    monkeypatch.setattr("moe_lib.training.has_bf16", lambda device: False)
    with pytest.warns(UserWarning, match="this cpu has no bfloat16 of its own: computing in float32") as warned:
        history = fit_parabolas(POINTS, seed=0, epochs=1, precision="bf16")[1]
    assert history.total == fit_parabolas(POINTS, seed=0, epochs=1)[1].total
    assert len(warned) == 1


def test_the_warning_points_at_the_line_that_trains(monkeypatch):
    monkeypatch.setattr("moe_lib.training.has_bf16", lambda device: False)
    with pytest.warns(UserWarning) as warned:
        train(small_moe_vae(), precision="bf16")  # in tiny.py it is that fit is called
    assert [message.filename for message in warned] == [inspect.getfile(train)]


@pytest.mark.parametrize(
    ("precision", "there", "dtype"), [("fp32", True, torch.float32), ("bf16", True, torch.bfloat16)]
)
def test_layers_compute_in_the_precision_asked_for(monkeypatch, precision, there, dtype):
    monkeypatch.setattr("moe_lib.training.has_bf16", lambda device: there)
    with resolve_precision(precision, torch.device("cpu"))():
        assert (torch.eye(2) @ torch.eye(2)).dtype == dtype


@pytest.mark.parametrize(
    ("device", "machine", "avx512", "answer"),
    [
        ("cpu", "x86_64", True, True),
        ("cpu", "AMD64", False, False),
        ("cpu", "arm64", False, True),
        ("mps", "arm64", False, True),
        ("mps", "x86_64", False, True),
        ("cuda", "x86_64", True, False),
    ],
)
def test_who_has_bfloat16(monkeypatch, device, machine, avx512, answer):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: including_emulation)
    assert has_bf16(torch.device(device)) is answer


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_best_device_there_is(monkeypatch, cuda, mps, best):
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    assert resolve_device() == resolve_device(None) == torch.device(best)
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    for name, there in (("cuda:1", cuda), ("mps", mps)):
        if there:
            assert resolve_device(name) == torch.device(name)
        else:
            with pytest.raises(ValueError, match=f"device is '{name}'; this machine has .*cpu. Leave it out"):
                resolve_device(name)


def test_the_best_run_is_the_one_that_ended_lowest():
    runs = {3: [1.0, 5.0], 4: [9.0, 2.0], 5: [3.0, 2.5], 6: [0.5, 4.0]}
    histories = {seed: History(expected=[e - 1 for e in total], balancing=[1.0, 1.0]) for seed, total in runs.items()}
    models = {seed: nn.Identity() for seed in runs}
    model, history, seed = best_of(lambda seed: (models[seed], histories[seed]), list(runs))
    assert (model, history, seed) == (models[4], histories[4], 4)
    with pytest.raises(ValueError, match="seeds is empty; give at least one"):
        best_of(lambda seed: None, [])


def test_best_of_takes_numpy_s_seeds_and_the_balancing_term_counts():
    _, history, seed = best_of(lambda seed: fit_parabolas(POINTS, seed, epochs=2), np.arange(3))
    totals = [fit_parabolas(POINTS, seed, epochs=2)[1].total[-1] for seed in range(3)]
    assert totals[seed] == min(totals) == history.total[-1]
    heavy, light = History([1.0], [5.0]), History([2.0], [0.0])
    assert best_of(lambda seed: (None, (heavy, light)[seed]), [0, 1])[2] == 1


def test_two_parabolas_are_learnt_as_chapter_2_says():
    with seeded(4):
        expected = MixtureOfExperts(Manager(1, 2, hidden=(16,), activation="tanh"), RegressionExperts(2))
    history = fit(
        expected, POINTS.x, POINTS.y, epochs=2, batch_size=50, lr={"manager": 0.02, "experts": 0.05}, seed=4,
        device="cpu", progress=False,
    )  # fmt: skip
    model, run = fit_parabolas(POINTS, seed=np.int64(4), epochs=2)
    assert run.total == history.total
    assert repr(model) == repr(expected)
    assert_same_bits(weights(model), weights(expected))


def test_two_parabolas_with_other_parts():
    rule = FixedManager(lambda x: (x[:, 0] >= 0).long(), 2)
    model, history = fit_parabolas(POINTS, seed=0, epochs=2, manager=rule)
    assert model.manager is rule
    frozen = Manager(1, 2).requires_grad_(False)
    before = weights(frozen)
    assert len(fit_parabolas(POINTS, seed=0, epochs=2, manager=frozen)[1]) == len(history) == 2
    assert_same_bits(weights(frozen), before)
    together, _ = fit_parabolas(POINTS, seed=0, epochs=1, kind=CooperatingExperts)
    assert type(together) is CooperatingExperts
    assert inspect.signature(fit_parabolas).parameters["epochs"].default == 120


def test_the_loop_shows_its_progress_unless_told_not_to(capfd):
    train(small_moe_vae(), epochs=2)
    assert capfd.readouterr().err == ""
    history = train(small_moe_vae(), epochs=2, progress=True)
    shown = capfd.readouterr().err
    assert "0/2" in shown
    assert "epoch" in shown
    assert len(history) == 2


def test_the_progress_bar_counts_what_is_done(monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **settings):
            bars.append(settings | {"losses": [], "done": settings["initial"]})

        def __enter__(self):
            return self

        def __exit__(self, *error):
            bars[-1]["closed"] = True

        def set_postfix(self, loss, refresh):
            bars[-1]["losses"].append(loss)

        def update(self):
            bars[-1]["done"] += 1

    monkeypatch.setattr("tqdm.tqdm", Bar)
    history = train(small_moe_vae(), progress=True)
    (bar,) = bars
    assert (bar["total"], bar["initial"], bar["done"], bar["disable"], bar["leave"]) == (3, 0, 3, False, False)
    assert bar["losses"] == [f"{loss:.4g}" for loss in history.total]
    assert bar["closed"]


def test_whole_numbers_of_any_kind_will_do():
    given = {"epochs": np.int64(2), "batch_size": np.int32(8), "seed": torch.tensor(5)}
    assert train(small_moe_vae(), **given).total == train(small_moe_vae(), epochs=2).total
    assert len(train(small_moe_vae(), epochs=1, seed=0)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 33}, "batch_size is 33; give a whole number from 1 to 32"),
        ({"batch_size": 0}, "batch_size is 0; give a whole number from 1 to 32"),
        ({"batch_size": 8.0}, r"batch_size is 8\.0; give a whole number"),
        ({"epochs": 0}, "epochs is 0; give a whole number from 1 to inf"),
        ({"epochs": 2.5}, r"epochs is 2\.5; give a whole number from 1"),
        ({"epochs": "3"}, "epochs is '3'; give a whole number"),
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
        ({"seed": 0.5}, r"seed is 0\.5; give a whole number from 0"),
        ({"lr": 0.0}, r"lr is {'all': 0\.0}; a learning rate must be positive and finite"),
        ({"lr": -1.0}, "a learning rate must be positive"),
        ({"lr": float("inf")}, "a learning rate must be positive and finite"),
        ({"lr": float("nan")}, "a learning rate must be positive and finite"),
        ({"lr": {"manager": 0.1, "experts": 0.0}}, r"lr is {'experts': 0\.0}; a learning rate must be positive"),
        (
            {"lr": {"manager": 0.1}},
            r"lr names \['manager'\]; the parts with weights to train are \['experts', 'manager'\]",
        ),
        ({"lr": {"manager": 0.1, "experts": 0.1, "x": 1}}, r"lr names \['experts', 'manager', 'x'\]"),
        ({"targets": IMAGES[:9]}, "x has 32 examples and y 9"),
        ({"precision": "fp8"}, "precision is 'fp8'; choose one of fp32, bf16"),
        ({"device": "tpu"}, "device is 'tpu'; this machine has .*cpu. Leave it out for the best of them"),
    ],
)
def test_settings_that_make_no_sense_are_told_before_anything_is_trained(changes, message):
    model = small_moe_vae()
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        train(model, **changes)
    assert_same_bits(weights(model), before)


def test_weights_that_belong_to_no_part_are_trained_or_told():
    model = small_moe_vae()
    model.scale = nn.Parameter(torch.ones(()))
    model.expected_loss = lambda *given: model.scale * type(model).expected_loss(model, *given)
    with pytest.raises(ValueError, match=r"parts with weights to train are \['experts', 'itself', 'manager'\]"):
        train(model, lr={"manager": 0.1, "experts": 0.1})
    train(model, lr={"manager": 0.1, "experts": 0.1, "itself": 0.1})
    assert model.scale.item() != 1


class Weightless(nn.Module):
    def check(self, x, y=None):
        pass

    def noise(self, n, generator=None):
        return None


@pytest.mark.parametrize("model", [Weightless(), small_moe_vae().requires_grad_(False)])
def test_a_model_with_nothing_to_train_is_told(model):
    with pytest.raises(ValueError, match="the parts with weights to train are"):
        train(model)


def test_any_module_with_the_parts_of_the_protocol_can_be_trained():
    class Mean(Weightless):
        def __init__(self):
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(1))

        def forward(self, x, y, noise):
            return Objective((x - self.mean).square().mean(), torch.tensor(0.0))

    model, x = Mean(), torch.randn(50, 1) + 3
    history = fit(model, x, x, epochs=300, batch_size=50, lr=0.1, seed=0, device="cpu", progress=False)
    assert model.mean.item() == pytest.approx(x.mean().item(), abs=1e-2)
    assert history.balancing == [0.0] * 300
    assert math.isclose(history.expected[-1], x.var(correction=0).item(), rel_tol=1e-3)


def test_parts_that_count_count_in_training_only():
    model = small_regression(Counting)
    x = POINTS.x
    fit(
        model, x, x, epochs=3, batch_size=30, lr=1e-3, seed=0, device="cpu", progress=False,
        on_epoch=lambda epoch, model: model.assign(x) if epoch else None,
    )  # fmt: skip
    assert model.manager.seen == 3 * 90


def test_labels_have_no_name_in_the_loop():
    with pytest.raises(TypeError, match="labels"):
        train(small_moe_vae(), labels=torch.zeros(32))
