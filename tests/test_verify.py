"""`make verify`: what agrees is stamped, what does not is printed and counts; which comparison is asked where."""

import importlib.util
import json

import pytest
import verify

from moe_lib.records import results
from moe_lib.records.provenance import stale

SCRIPT = """
import time

from moe_lib.records.experiment import Experiment, outcome

RUNS = [({"n": n}, seed) for n in (1, 2) for seed in range(3)]
SCALE = 1.0


def one(config, seed):
    metrics = {"accuracy": SCALE * (0.8 + 0.01 * seed), "curve": [SCALE * 1.0, SCALE * 0.5], "in_use": 10}
    metrics |= {"counts": [[int(1000 * SCALE), 3]], "drawings": f"png {SCALE}", "seconds_to_goal": time.perf_counter()}
    return outcome(metrics, seconds=0.01)


EXPERIMENT = Experiment(name="toy", what="a toy", unit="shares", runs=RUNS, one=one)
"""


@pytest.fixture
def toy(tmp_path):
    """A checkout with one experiment, whose script can be edited and read again."""
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / "toy.py"

    def read(old="", new="", source=SCRIPT):
        assert old in source
        path.write_text(source.replace(old, new) if old else source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("toy", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.EXPERIMENT

    return read


def elsewhere(experiment, **other):
    """As if the recorded runs had been made on another machine, or otherwise."""
    path = experiment.folder / "toy.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    for run in recorded["runs"]:
        run.update(other)
    path.write_text(json.dumps(recorded), encoding="utf-8")


def stamp(experiment):
    return results.load_results("toy", experiment.folder)["provenance"].get("verified")


def verified(experiment, *arguments):
    return verify.main({"toy": experiment}, list(arguments))


def test_what_agrees_is_stamped_once(toy, capsys):
    experiment = toy()
    experiment.run()
    assert verified(experiment) == 0
    assert "nothing has changed since" in capsys.readouterr().out
    assert stamp(experiment) is None, "it was made by this code"
    before = experiment.recorded()
    experiment = toy("0.01 * seed", "seed / 100")  # the same, written otherwise
    assert stale(experiment.script) == "its code changed since it was run, or verified"
    assert verified(experiment, "--list") == 0
    assert stamp(experiment) is None, "a list changes nothing"
    assert verified(experiment) == 0
    found = stamp(experiment)
    assert found["repeated"] == [
        {"config": {"n": 1}, "seed": 0, "comparison": "number for number", "precision": "fp32"}
    ]
    assert found["processor"] == results.processor()
    assert found["seconds"] >= 0
    assert len(found["date"]) == 10
    assert found["versions"] == results.versions()
    assert stale(experiment.script) is None
    assert experiment.recorded() == before
    capsys.readouterr()
    assert verified(experiment) == 0
    assert "repeating" not in capsys.readouterr().out
    assert verified(experiment, "--force", "--only", "toy") == 0
    assert "agrees, number for number" in capsys.readouterr().out


def test_each_configuration_can_be_repeated_and_all_must_agree(toy):
    toy().run()
    experiment = toy("(0.8 +", "(0.8 + 0 +")
    assert verified(experiment, "--each") == 0
    assert [run["config"]["n"] for run in stamp(experiment)["repeated"]] == [1, 2]
    experiment = toy("(0.8 +", '(0.8 + 0.1 * (config["n"] == 2) +')
    assert verified(experiment, "--each", "--force") == 1
    assert stale(experiment.script)
    assert verified(experiment) == 0


def test_what_differs_on_the_same_kind_of_processor_is_printed_and_not_stamped(toy, capsys):
    toy().run()
    experiment = toy("SCALE = 1.0", "SCALE = 1.00002")
    assert verified(experiment) == 1
    said = capsys.readouterr().out
    assert "toy: DIFFERS" in said
    assert "accuracy: recorded 0.8, now 0.800016" in said
    assert "curve.1" in said
    assert "not verified: toy" in said
    assert stamp(experiment) is None


@pytest.mark.parametrize("other", [{"processor": "another"}, {"precision": "bf16"}, {"device": "cpu, 99 threads"}])
def test_elsewhere_it_may_differ_within_the_spread_of_the_seeds(toy, other, capsys, monkeypatch):
    monkeypatch.setattr(verify.torch, "set_num_threads", lambda n: None)
    toy().run()
    experiment = toy("SCALE = 1.0", "SCALE = 1.005")
    elsewhere(experiment, **other)
    capsys.readouterr()
    assert verified(experiment) == 0
    assert stamp(experiment)["repeated"][0]["comparison"] == "within the spread of 3 seeds"
    experiment = toy("SCALE = 1.0", "SCALE = 1.1")
    assert verified(experiment) == 1
    said = capsys.readouterr().out
    assert "accuracy: recorded 0.8, now 0.88, allowed 0.78 to 0.84" in said
    assert "curve.0: recorded 1, now 1.1, allowed 0.99 to 1.01" in said
    assert "counts" not in said
    assert "seconds" not in said


def test_what_is_allowed():
    def compared(recorded, now, *others, exact=False):
        runs = [{"metrics": {"m": value}} for value in (recorded, *others)]
        return verify.compare(runs[0], {"metrics": {"m": now}}, runs, exact)[0]

    assert compared(1.0, 1.0 + 5e-6, exact=True) == "number for number"
    assert compared(1.0, 1.0 + 5e-5, exact=True) is None
    assert compared(1.0, 1.04) == "within 5 % of the only seed"
    assert compared(1.0, 1.06) is None
    assert (
        compared(1.0, 1.39, 1.2) == "within the spread of 2 seeds"
    )  # as far above the highest as it is above the lowest
    assert compared(1.0, 0.79, 1.2) is None
    assert compared(10, 9, 10, 10) == "within the spread of 3 seeds"  # of counts, one
    assert compared(10, 8, 10, 10) is None
    assert compared(1.0, None) is None
    assert compared(1.0, float("nan"), 1.2) is None
    lost = {"metrics": {}, "failed": "it diverged"}
    assert verify.compare(lost, lost, [lost], True)[0] == "it fails again"
    assert verify.compare({"metrics": {"m": 1.0}}, lost, [], False)[0] is None
    assert verify.compare(lost, {"metrics": {"m": 1.0}}, [lost], False)[0] is None


def test_one_that_cannot_be_repeated_does_not_stop_the_others(toy, capsys):
    toy().run()
    experiment = toy("    metrics =", "    raise KeyError('no weights')\n    metrics =")
    assert verify.main({"toy": experiment, "twin": experiment}, []) == 1
    said = capsys.readouterr().out
    assert said.count("KeyError: 'no weights'") == 2
    assert "not verified: toy, twin" in said


def test_a_name_that_is_none_is_refused(toy, capsys):
    with pytest.raises(SystemExit):
        verified(toy(), "--only", "toys")
    assert "no experiment toys; there are toy" in capsys.readouterr().err
