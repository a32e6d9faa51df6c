"""The benchmark: it measures the same model, counts what it says it counts, and its results file is whole."""

import json
import subprocess
import sys
import warnings

import pytest
import torch
from core.tiny import as_loop

from benchmarks import plain, processes, speed
from moe_lib import Digits, moe_vae
from moe_lib.records import provenance
from moe_lib.scaling import compiled_step

RESULTS = sorted((provenance.BOOK / "results").glob("speed_*.json"))


def test_the_plain_model_is_the_library_s(monkeypatch):
    torch.manual_seed(0)
    model, obvious = moe_vae(), plain.PlainMixture()
    managers = (as_loop(model.manager.layers[layer])[0] for layer in (0, 2))
    for mine, theirs in zip((obvious.manager[0], obvious.manager[2]), managers, strict=True):
        mine.load_state_dict(theirs.state_dict())
    for coder in ("encoder", "decoder"):
        for layer in (0, 2):
            loops = as_loop(getattr(model.experts, coder)[layer])
            for expert, theirs in zip(obvious.experts, loops, strict=True):
                getattr(expert, coder)[layer].load_state_dict(theirs.state_dict())
    x, noise = torch.rand(7, 784), model.noise(7)
    drawn = iter(noise.unbind(1))  # (7, 10) for one expert after the other
    monkeypatch.setattr(torch, "randn_like", lambda mean: next(drawn))
    torch.testing.assert_close(obvious(x), model.objective(x, x, noise).total)


def test_operations_are_those_of_chapter_6():
    def layers(*sizes):
        return sum(2 * 100 * n * m * (3 if i else 2) for i, (n, m) in enumerate(sizes))

    step = layers((784, 128), (128, 10)) + 10 * layers((784, 128), (128, 20), (10, 128), (128, 784))
    assert speed.operations(torch.rand(300, 784)) == 3 * step


def test_what_is_needed():
    needed = speed.needed()
    weights = sum(p.numel() for p in moe_vae().parameters())
    assert needed["parameters"] == 4 * weights
    assert needed["moments"] == 8 * weights
    pictures = 4 * 10 * 100 * 784  # ten experts' drawings of a batch, kept twice or three times
    assert 2 * pictures < needed["activations"] < 5 * pictures


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_seen_after_it_was_freed():
    memory = speed.Memory(torch.device("cpu"))
    held = torch.ones(2**25)  # 128 MiB
    del held
    assert 0.9 * 2**27 < memory.peak() < 1.2 * 2**27  # pages are counted, and some others may go meanwhile


def test_a_contender_takes_its_turns():
    (outcome,) = speed.race(["fp32"], rounds=1, images=300).values()
    assert len(outcome["rounds"]) == 1
    assert outcome["rounds"][0] > 0
    assert outcome["first"] > 0


@pytest.mark.parametrize("way", speed.WAYS)
def test_each_way_is_what_its_name_says(way, monkeypatch):
    ran = {}
    few = Digits(torch.rand(200, 784), torch.zeros(200).long())
    monkeypatch.setattr(speed, "mnist", lambda: (few, few))
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(speed, "fit", lambda model, x, y, **settings: ran.update(settings, x=x))
    monkeypatch.setattr(plain, "train", lambda images, epochs, **settings: ran.update(settings, x=images))
    with warnings.catch_warnings():
        speed.take_turns(way, epochs=2, images=100)
    assert torch.equal(ran["x"], few.images[:100])
    if way.startswith("loop"):
        assert ran["fused"] == ("fused" in way)
    else:
        assert ran["precision"] == way[:4]
        assert (ran["step"] is compiled_step) == way.endswith("-compiled")


def test_more_experts_and_fewer_that_compute():
    images = torch.rand(400, 784)
    dense, sparse = (speed.epoch_seconds(3, top_k, 10, images) for top_k in (None, 2))
    assert dense["parameters"] == sparse["parameters"]
    assert min(dense["epoch_seconds"], sparse["epoch_seconds"]) > 0


def test_what_torchrun_is_asked_for_trains(monkeypatch, capsys):
    """Here without torchrun, which costs ten seconds; that two processes equal one is seen in tests/rooms."""
    asked = []

    def torchrun(command, **options):
        asked.extend(command)
        monkeypatch.setattr(sys, "argv", command[command.index(str(speed.ROOT / "benchmarks" / "processes.py")) :])
        processes.main()
        return subprocess.CompletedProcess(command, 0, capsys.readouterr().out)

    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *arguments: None)
    monkeypatch.setattr(subprocess, "run", torchrun)
    found = speed.in_processes(2, threads=torch.get_num_threads(), epochs=2, images=200)
    assert {"torch.distributed.run", "--nproc-per-node=2"} < set(asked)
    assert len(found["seconds"]) == 2
    assert found["expected"][1] < found["expected"][0]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_committed_results_are_whole(path):
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    ways = {run["config"]["way"]: run["metrics"] for run in runs if run["config"]["part"] == "way"}
    assert set(ways) == set(speed.WAYS)
    assert {len(metrics["rounds"]) for metrics in ways.values()} == {speed.ROUNDS}
    tried = [run["config"] for run in runs if run["config"]["part"] == "experts"]
    wanted = [(e, k, b) for b in (100, 1000) for e in speed.EXPERTS for k in (None, 2)]
    assert [(c["experts"], c["top_k"], c["batch"]) for c in tried] == wanted
    assert speed.report(runs).count("GFLOP/s") == len(speed.WAYS)


def test_there_are_results_of_a_cpu():
    assert provenance.BOOK / "results" / "speed_cpu.json" in RESULTS
