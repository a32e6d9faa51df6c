"""An experiment goes on where it stopped, loses nothing, and says with what each run was made."""

import importlib.util
import json
import sys

import pytest
import torch

from moe_lib.records import experiment as experiments
from moe_lib.records.experiment import outcome
from moe_lib.records.results import load_results, processor, save_results, versions

SCRIPT = """
from moe_lib.records.experiment import Experiment, outcome

RUNS = [({"w": w}, seed) for w in (0, 1) for seed in (0, 1)]
CALLS = []


def one(config, seed):
    CALLS.append((config["w"], seed))
    if len(CALLS) == 3:
        raise KeyboardInterrupt
    if seed == 1 and config["w"] == 1:
        raise FloatingPointError("it diverged")
    return outcome({"m": seed}, seconds=0.5, precision="bf16")


EXPERIMENT = Experiment(name="trial", what="a trial", unit="shares", runs=RUNS, one=one, note="made up")
"""


@pytest.fixture
def trial(tmp_path):
    """A checkout with one experiment."""
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / "trial.py"

    def read(source=SCRIPT):
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("trial", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return read


def test_it_goes_on_where_it_stopped_and_a_failed_run_is_listed(trial):
    module = trial()
    with pytest.raises(KeyboardInterrupt):
        module.EXPERIMENT.run()
    assert module.EXPERIMENT.run()
    assert module.CALLS == [(0, 0), (0, 1), (1, 0), (1, 0), (1, 1)], "only the interrupted run is made again"
    kept = module.EXPERIMENT.recorded()
    assert [(run["config"]["w"], run["seed"]) for run in kept] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [run.get("failed") for run in kept] == [None, None, None, "it diverged"]
    assert not module.EXPERIMENT.run()
    assert len(module.CALLS) == 5, "nothing is left to do"


def test_it_writes_whole_files_with_their_provenance(trial):
    module = trial()
    with pytest.raises(KeyboardInterrupt):
        module.EXPERIMENT.run()
    (path,) = module.EXPERIMENT.folder.iterdir()
    assert path.name == "trial.json"
    made = load_results("trial", path.parent)["provenance"]
    assert made["code"] == "experiments/trial.py"
    assert made["note"] == "made up"
    assert made["processor"] == processor()
    assert made["versions"] == versions()
    assert made["fingerprint"]["code"]


def test_finished_runs_are_never_dropped(trial):
    module = trial()
    with pytest.raises(KeyboardInterrupt):
        module.EXPERIMENT.run()
    before = module.EXPERIMENT.recorded()
    fewer = trial(SCRIPT.replace("for w in (0, 1)", "for w in (1,)"))
    with pytest.raises(ValueError, match=r"2 finished runs .* \{'w': 0\}, seed 0: .* by hand"):
        fewer.EXPERIMENT.run()
    assert fewer.EXPERIMENT.recorded() == before
    more = trial(SCRIPT.replace("for w in (0, 1)", "for w in (0, 1, 2)"))
    more.CALLS.extend([None] * 3)
    more.EXPERIMENT.run()
    assert len(more.EXPERIMENT.recorded()) == 6, "a longer list is no other code"


def test_other_code_does_not_go_on_with_what_it_has_not_made(trial):
    module = trial()
    with pytest.raises(KeyboardInterrupt):
        module.EXPERIMENT.run()
    other = trial(SCRIPT.replace('{"m": seed}', '{"m": seed + 1}'))
    with pytest.raises(ValueError, match=r"its code changed since .* tools/verify.py --only trial"):
        other.EXPERIMENT.run()
    assert len(other.EXPERIMENT.recorded()) == 2


@pytest.mark.parametrize("there", [True, False])
def test_a_run_says_which_precision_it_really_had(there, monkeypatch):
    monkeypatch.setattr(experiments, "has_bf16", lambda device: there)
    assert outcome({}, 1.0, "bf16")["precision"] == ("bf16" if there else "fp32")
    assert outcome({}, 1.0)["precision"] == "fp32"
    assert outcome({}, 1.0)["device"] == f"cpu, {torch.get_num_threads()} threads"
    assert outcome({}, 1.0)["processor"] == processor()
    assert sys.platform != "linux" or len(processor().split()) >= 3


def test_results_are_utf_8_and_come_back(tmp_path):
    run = {"seed": 1, "config": {"w": "σ"}, "metrics": {"accuracy": 0.5}, "seconds": 2.0, "device": "cpu"}
    path = save_results("trial", "a trial", "share ± 1", [run], code="experiments/trial.py", folder=tmp_path)
    assert load_results("trial", folder=tmp_path)["runs"] == [run]
    json.loads(path.read_bytes().decode("utf-8"))
    assert [p.name for p in tmp_path.iterdir()] == ["trial.json"]


def test_missing_results_say_what_there_is_and_how_to_make_them(tmp_path):
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"there are: list, other.*python experiments/trial\.py"):
        load_results("trial", folder=tmp_path)
    for name in ("other", "list"):
        with pytest.raises(ValueError, match="lacks"):
            load_results(name, folder=tmp_path)
