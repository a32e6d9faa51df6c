"""Results files: what they keep, and when they refuse."""

import json
import sys

import pytest

from moe_lib import load_results
from moe_lib.results import run_all, save_results


def test_results_round_trip(tmp_path):
    run = {"seed": 1, "config": {"w": 0.1}, "metrics": {"accuracy": 0.5}, "seconds": 2.0, "device": "cpu"}
    save_results("trial", "a trial", "share", [run], code="experiments/trial.py", folder=tmp_path)
    results = load_results("trial", folder=tmp_path)
    assert results["runs"] == [run]
    assert results["provenance"]["code"] == "experiments/trial.py"
    assert {"python", "torch"} <= set(results["provenance"]["versions"])
    assert [p.name for p in tmp_path.iterdir()] == ["trial.json"]


def test_missing_results_say_what_there_is_and_how_to_make_them(tmp_path):
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"there are: other.*python experiments/trial\.py"):
        load_results("trial", folder=tmp_path)
    with pytest.raises(ValueError, match="lacks"):
        load_results("other", folder=tmp_path)


def test_a_failed_run_is_listed_and_the_others_go_on(tmp_path, monkeypatch):
    results = sys.modules["moe_lib.results"]
    monkeypatch.setattr(results, "load_results", lambda name: load_results(name, folder=tmp_path))
    monkeypatch.setattr(results, "save_results", lambda *a, **k: save_results(*a, **k, folder=tmp_path))

    def one(config, seed):
        if seed == 0:
            raise FloatingPointError("it diverged")
        return {"metrics": {"m": 1.0}, "seconds": 0.0, "device": "cpu"}

    run_all("trial", "what", "unit", "code", [({}, 0), ({}, 1)], one)
    failed, fine = load_results("trial", folder=tmp_path)["runs"]
    assert failed["failed"] == "it diverged"
    assert fine["metrics"] == {"m": 1.0}


def test_an_experiment_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    results = sys.modules["moe_lib.results"]
    monkeypatch.setattr(results, "load_results", lambda name: load_results(name, folder=tmp_path))
    monkeypatch.setattr(results, "save_results", lambda *a, **k: save_results(*a, **k, folder=tmp_path))
    calls = []

    def one(config, seed):
        calls.append((config["w"], seed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"metrics": {"m": seed}, "seconds": 0.0, "device": "cpu"}

    runs = [({"w": w}, seed) for w in (0, 1) for seed in (0, 1)]
    with pytest.raises(KeyboardInterrupt):
        run_all("trial", "what", "unit", "code", runs, one)
    run_all("trial", "what", "unit", "code", runs, one)
    assert calls == [(0, 0), (0, 1), (1, 0), (1, 0), (1, 1)], "only the interrupted run is made again"
    kept = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))["runs"]
    assert [(run["config"]["w"], run["seed"]) for run in kept] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    run_all("trial", "what", "unit", "code", runs, one)
    assert len(calls) == 5, "nothing is left to do"
    with pytest.raises(ValueError, match=r"3 finished runs .* \{'w': 0\}, seed 1: .* by hand"):
        run_all("trial", "what", "unit", "code", runs[:1], one)
    assert json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))["runs"] == kept, "and nothing is lost"
