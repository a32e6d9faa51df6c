"""Checkpoints: a resumed run equals an uninterrupted one bit for bit, whatever stopped it; other files are refused."""

import functools
import json
import os
import re
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.tiny import (
    IMAGES,
    Counting,
    Normed,
    assert_same_bits,
    forked,
    needs_fork,
    small_moe_vae,
    small_regression,
    train,
    weights,
)
from moe_lib import CheckpointError, ImportanceVariance, RegressionExperts, fit, two_parabolas
from moe_lib import checkpoint as module
from moe_lib.checkpoint import digest, read, write
from moe_lib.training import plain_step

POINTS = two_parabolas(60)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


class Unused(RegressionExperts):
    """Experts with a weight that the loss does not reach."""

    def __init__(self, num_experts):
        super().__init__(num_experts)
        self.spare = nn.Parameter(torch.ones(2))


class Tied(RegressionExperts):
    """Experts with a weight that goes by two names."""

    def __init__(self, num_experts):
        super().__init__(num_experts)
        self.again = self.layers[0].weight


def frozen(model, part):
    part(model).requires_grad_(False)
    return model


MODELS = {
    "VAEs": small_moe_vae,
    "frozen manager": lambda: frozen(small_moe_vae(), lambda m: m.manager),
    "frozen encoders": lambda: frozen(small_moe_vae(), lambda m: m.experts.encoder),
    "counting": lambda: small_regression(Counting),
    "batch norm": lambda: small_regression(Normed),
    "unused weight": lambda: small_regression(experts=Unused),
    "tied weights": lambda: small_regression(experts=Tied),
    "experts alone": lambda: small_regression().experts,
}


def run(model, **changes):
    if next(model.parameters()).numel() > 100:
        return train(model, **changes)
    given = {"images": POINTS.x, "targets": POINTS.y, "batch_size": 25} | changes
    return train(model, **given)


def look(epoch, model):
    return next(model.parameters()).sum() if epoch != 1 else None


def assert_same_run(one, other):
    assert one.expected == other.expected
    assert one.balancing == other.balancing
    assert len(one.seconds) == len(other.seconds)
    assert_same_bits(one.looks, other.looks)


@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(path, name):
    whole, halves, resumed = MODELS[name](), MODELS[name](), MODELS[name]()
    uninterrupted = run(whole, epochs=5, on_epoch=look)
    run(halves, epochs=2, checkpoint=path, on_epoch=look)
    with torch.no_grad():
        for value in resumed.state_dict().values():
            value.add_(1)  # other weights: the checkpoint brings its own
    history = run(resumed, epochs=5, checkpoint=str(path), on_epoch=look)
    assert_same_run(history, uninterrupted)
    assert list(history.looks) == [0, 2, 3, 4, 5]
    assert_same_bits(weights(resumed), weights(whole))
    assert not resumed.training


def test_a_finished_run_is_given_back(path):
    history = train(small_moe_vae(), checkpoint=path, on_epoch=look)
    seen, model = [], small_moe_vae(seed=3)
    again = train(model, checkpoint=path, on_epoch=lambda epoch, model: seen.append(epoch))
    assert_same_run(again, history)
    assert again.seconds == history.seconds
    assert seen == []


def test_a_checkpoint_is_written_after_every_epoch_and_looked_at_first(path):
    written = []
    train(
        small_moe_vae(), checkpoint=path, on_epoch=lambda epoch, model: written.append(path.exists() and look_in(path))
    )
    assert written == [False, False, 1, 2]
    assert look_in(path) == 3


def look_in(path):
    return len(json.loads(read(path)[0]["history"])["expected"])


def test_a_schedule_resumes_bit_for_bit(path):
    def fade(done):
        return 1 - done

    def stop(epoch, model):
        if epoch == 3:
            raise KeyboardInterrupt

    whole, halves, resumed = small_moe_vae(), small_moe_vae(), small_moe_vae(seed=9)
    uninterrupted = train(whole, epochs=4, schedule=fade)
    assert uninterrupted.total != train(small_moe_vae(), epochs=4).total
    with pytest.raises(KeyboardInterrupt):
        train(halves, epochs=4, schedule=fade, checkpoint=path, on_epoch=stop)
    assert look_in(path) == 2
    assert_same_run(train(resumed, epochs=4, schedule=fade, checkpoint=path), uninterrupted)
    assert_same_bits(weights(resumed), weights(whole))
    with pytest.raises(CheckpointError, match="epochs 4 there, 6 here"):
        train(small_moe_vae(), epochs=6, schedule=fade, checkpoint=path)


def test_another_schedule_of_the_same_name_is_another_run(path):
    slow, fast = (lambda done, power=power: (1 - done) ** power for power in (1, 2))
    train(small_moe_vae(), schedule=slow, checkpoint=path)
    with pytest.raises(CheckpointError, match="another run: schedule "):
        train(small_moe_vae(), schedule=fast, checkpoint=path)


@needs_fork
@pytest.mark.parametrize(
    ("moment", "kept"),
    [("os.fsync", 2), ("os.replace", 2), ("after", 3), ("on_epoch", 2)],
)
def test_a_run_killed_at_the_worst_moment_resumes_to_the_same_weights(path, monkeypatch, moment, kept):
    def die(*given):
        os.kill(os.getpid(), signal.SIGKILL)

    def work():
        times = {"fsync": 0, "replace": 0}

        def third(name, act, before):
            def acted(*given):
                times[name] += 1
                if times[name] == 3 and before:
                    die()
                act(*given)
                if times[name] == 3:
                    die()

            return acted

        if moment == "os.fsync":
            monkeypatch.setattr(module.os, "fsync", third("fsync", os.fsync, before=True))
        elif moment != "on_epoch":
            monkeypatch.setattr(module.os, "replace", third("replace", os.replace, before=moment != "after"))
        train(
            small_moe_vae(), epochs=5, checkpoint=path,
            on_epoch=lambda epoch, model: die() if (epoch, moment) == (3, "on_epoch") else None,
        )  # fmt: skip

    assert forked(work) == -signal.SIGKILL
    epochs, resumed, whole = [], small_moe_vae(seed=9), small_moe_vae()
    history = train(resumed, epochs=5, checkpoint=path, on_epoch=lambda epoch, model: epochs.append(epoch))
    assert epochs == list(range(kept + 1, 6)), "it should have gone on from the last whole checkpoint"
    assert history.total == train(whole, epochs=5).total
    assert_same_bits(weights(resumed), weights(whole))


def other(change):
    model = small_moe_vae()
    change(model)
    return model


def another_step(model, optimizer, autocast):
    return plain_step(model, optimizer, autocast)


@pytest.mark.parametrize(
    ("resume", "message"),
    [
        (lambda **c: train(small_moe_vae(hidden=9), **c), "of another run: model "),
        (lambda **c: train(other(lambda m: setattr(m, "balance", ImportanceVariance(0.2))), **c), "run: model "),
        (lambda **c: train(other(lambda m: setattr(m.experts, "decoder_std", 0.1)), **c), "another run: model "),
        (
            lambda **c: train(small_moe_vae(), lr=0.02, **c),
            r"run: lr \[0\.01\] there, \[0\.02\] here\. Use its settings",
        ),
        (lambda **c: train(small_moe_vae(), seed=6, **c), "seed 5 there, 6 here"),
        (lambda **c: train(small_moe_vae(), batch_size=4, **c), "batch_size 8 there, 4 here"),
        (lambda **c: train(small_moe_vae(), seed=6, batch_size=4, **c), "batch_size 8 there, 4 here; seed 5 there"),
        (lambda **c: train(small_moe_vae(), precision="bf16", **c), "precision fp32 there, bf16 here"),
        (lambda **c: train(small_moe_vae(), step=another_step, **c), "step plain_step there, another_step here"),
        (
            lambda **c: train(small_moe_vae(), schedule=abs, **c),
            r"schedule None there, \[0\.0, 0\.1, .* here; epochs None there, 3",
        ),
        (lambda **c: train(other(lambda m: m.manager.requires_grad_(False)), **c), "another run: trained "),
        (lambda **c: train(small_moe_vae(), epochs=2, **c), "has 3 epochs, more than the 2 asked for"),
        (lambda **c: train(small_moe_vae(), images=IMAGES.flip(0), **c), "another run: data "),
        (lambda **c: train(small_moe_vae(), targets=IMAGES.flip(0), **c), "another run: data "),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept_and_nothing_is_touched(path, monkeypatch, resume, message):
    monkeypatch.setattr("moe_lib.training.has_bf16", lambda device: True)
    train(small_moe_vae(), checkpoint=path)
    kept, loaded = path.read_bytes(), []
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda *given: loaded.append(given))
    with pytest.raises(CheckpointError, match=message):
        resume(checkpoint=path)
    assert path.read_bytes() == kept
    assert not loaded


def test_a_function_of_yours_may_be_a_setting_and_has_no_address(path):
    """What Python prints of a function has its place in memory, which the next process does not share."""

    def penalty():
        return lambda p: p.square().sum()

    def model():
        return other(lambda m: setattr(m, "balance", penalty()))

    def step():
        return functools.partial(plain_step)

    keep = [penalty() for _ in range(3)]  # so that places in memory differ
    train(model(), epochs=1, step=step(), checkpoint=path)
    keep.append(penalty())
    assert len(train(model(), epochs=2, step=step(), checkpoint=path)) == 2
    assert " at 0x" not in read(path)[0]["run"]
    assert len(keep) == 4


def test_a_checkpoint_holds_tensors_and_text_only(tmp_path):
    path = tmp_path / "deeper" / "and deeper" / "run.safetensors"
    train(small_moe_vae(), checkpoint=path, on_epoch=look)
    assert {name.split(".")[0] for name in load_file(path)} == {"model", "adam", "order", "noise", "look"}
    assert [p.name for p in path.parent.iterdir()] == ["run.safetensors"], "nothing is left lying about"
    text, _ = read(path)
    assert set(json.loads(text["history"])) == {"expected", "balancing", "seconds"}


def test_a_diverging_run_keeps_its_last_good_checkpoint(path):
    good = {}

    class Breaks(RegressionExperts):
        def losses(self, x, y, noise=None):
            return super().losses(x, y, noise) * (float("inf") if 3 in good else 1)

    def look(epoch, model):  # the epoch before this one is saved
        good[epoch] = path.read_bytes() if path.exists() else None

    with pytest.raises(FloatingPointError, match="after epoch 4"):
        fit(
            Breaks(2), POINTS.x, POINTS.y, epochs=5, batch_size=16, lr=0.1, seed=0, device="cpu", progress=False,
            checkpoint=path, on_epoch=look,
        )  # fmt: skip
    assert look_in(path) == 3
    assert list(good) == [0, 1, 2, 3]
    assert good[0] is good[1] is None


def test_every_flipped_bit_is_noticed(path):
    tensors = {"a": torch.arange(5.0), "b": torch.tensor(7), "c": torch.zeros(0, 2), "d": torch.arange(9).view(3, 3)}
    write(path, tensors, {"run": json.dumps({"seed": 1}), "history": "none"})
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            read(path)
    path.write_bytes(whole)
    text, back = read(path)
    assert text == {"run": '{"seed": 1}', "history": "none"}
    assert_same_bits(back, tensors)


def test_a_flipped_bit_in_any_tensor_stops_a_run_before_it_starts(path):
    train(small_moe_vae(), epochs=1, checkpoint=path)
    whole = path.read_bytes()
    header = json.loads(whole[8 : 8 + (begin := int.from_bytes(whole[:8], "little"))])
    begin += 8
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        changed = bytearray(whole)
        changed[begin + entry["data_offsets"][0]] ^= 1
        path.write_bytes(changed)
        model = small_moe_vae(seed=3)
        before = weights(model)
        with pytest.raises(CheckpointError, match=r"has changed since it was written: a bit .* Delete it"):
            train(model, checkpoint=path)
        assert path.read_bytes() == changed
        assert_same_bits(weights(model), before)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is torn, or no safetensors file .*Name another"),
        (lambda path: path.write_bytes(b""), "is torn, or no safetensors file"),
        (lambda path: path.write_text("no checkpoint", encoding="utf-8"), "is torn, or no safetensors file"),
        (lambda path: save_file({"a": torch.zeros(3)}, path), "was not written by this moe_lib. Name another file"),
        (lambda path: write(path, {"a": torch.zeros(3)}, {"settings": "{}"}), "a saved model, not a checkpoint"),
    ],
)
def test_a_file_that_is_no_whole_checkpoint_is_refused_and_kept(path, spoil, message):
    train(small_moe_vae(), checkpoint=path)
    spoil(path)
    kept = path.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        train(small_moe_vae(), checkpoint=path)
    assert path.read_bytes() == kept


def test_a_pickle_in_place_of_a_checkpoint_is_never_executed(path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save(Bomb(), path)
    with pytest.raises(CheckpointError):
        train(small_moe_vae(), checkpoint=path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("place", ["", ".", "folder"])
def test_a_folder_is_no_file(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match=f"{re.escape(repr(place))} is a folder; name a file in it"):
        train(small_moe_vae(), checkpoint=place)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_path_that_cannot_be_written_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    seen, model = [], small_moe_vae()
    before = weights(model)
    with pytest.raises(CheckpointError, match=r"run\.safetensors cannot be written to .*Name another file"):
        train(model, checkpoint=tmp_path / "file" / "run.safetensors", on_epoch=lambda *given: seen.append(given))

    def forbid(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.touch", forbid)
    with pytest.raises(CheckpointError, match=r"cannot be written to .*Permission denied"):
        train(model, checkpoint=tmp_path / "run.safetensors", on_epoch=lambda *given: seen.append(given))
    assert seen == []
    assert_same_bits(weights(model), before)


def test_trying_to_write_leaves_nothing_behind(path):
    module.Checkpoint(path, {}, None, {})
    assert list(path.parent.iterdir()) == []


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train(small_moe_vae(), epochs=1, checkpoint="~/runs/run.safetensors")
    assert (tmp_path / "runs" / "run.safetensors").is_file()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    write(path, {"a": torch.zeros(3)}, {})
    kept = path.read_bytes()

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, {"a": torch.ones(3)}, {})
    assert path.read_bytes() == kept
    assert list(path.parent.iterdir()) == [path]


def test_all_is_on_the_disk_before_the_old_file_goes(path, monkeypatch):
    done = []
    monkeypatch.setattr(module.os, "fsync", lambda descriptor: done.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(module.os, "replace", lambda new, old: done.append((new.stat().st_size, old)))
    write(path, {"a": torch.zeros(300)}, {})
    assert done == [(size := done[0]), (size, path)]
    assert size > 4 * 300


def test_what_is_written_is_what_is_read(tmp_path):
    path = tmp_path / "deeper" / "and deeper" / "file.safetensors"
    base = torch.randn(4, 3, requires_grad=True)
    tensors = {
        "turned": base.T, "twice": base, "half": base.half(), "rounded": base.bfloat16(), "flags": base > 0,
        "number": torch.tensor(7), "nothing": torch.zeros(0),
    }  # fmt: skip
    write(path, tensors, {"name": "Ä, ß and 七"})
    text, back = read(path)
    assert text == {"name": "Ä, ß and 七"}
    assert_same_bits(back, tensors)
    assert {name: value.dtype for name, value in back.items()} == {name: value.dtype for name, value in tensors.items()}


def test_what_was_read_does_not_change_with_the_file(path):
    write(path, {"a": torch.arange(1000.0)}, {})
    _, back = read(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(back["a"], torch.arange(1000.0))


def test_a_digest_tells_values_types_and_shapes_apart():
    x = torch.arange(6.0)
    same = digest(x)
    assert digest(x.clone()) == digest(x.clone().requires_grad_()) == same
    assert len(same) == 64
    others = [
        digest(x + 1), digest(x.view(2, 3)), digest(x.view(3, 2)), digest(x.int()), digest(x.view(torch.int32)),
        digest(x[:5]), digest(x, x), digest(), digest(-x), digest(x.view(2, 3).T),
    ]  # fmt: skip
    assert len({same, *others}) == len(others) + 1
    assert digest(x.view(2, 3).T) == digest(x.view(2, 3).T.contiguous())
