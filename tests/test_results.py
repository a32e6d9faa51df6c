"""The results files of the book: whole, every run that their script names and no other, and of today's code."""

import json

import pytest
import verify

from moe_lib.records.provenance import BOOK, ROOT, stale

FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((BOOK / "results").glob("*.json"))}
EXPERIMENTS = verify.experiments()
MADE = [name for name in EXPERIMENTS if name in FILES]


def test_each_has_the_form_of_a_results_file():
    for name, results in FILES.items():
        assert set(results) == {"what", "unit", "runs", "provenance"}, name
        assert {"versions", "code"} <= set(results["provenance"]), name
        assert (ROOT / results["provenance"]["code"]).is_file(), name
        for run in results["runs"]:
            assert {"seed", "config", "metrics", "seconds", "device"} <= set(run), name
            assert run["seconds"] > 0 or "failed" in run, name


def test_every_script_is_an_experiment_and_says_how_it_is_run():
    scripts = {path.stem for path in (ROOT / "experiments").glob("*.py")}
    assert scripts - set(EXPERIMENTS) == {"protocol"}
    for name, experiment in EXPERIMENTS.items():
        assert experiment.script == ROOT / "experiments" / f"{name}.py"
        source = experiment.script.read_text(encoding="utf-8")
        assert f"python experiments/{name}.py" in source
        others = [other for other in scripts - {"protocol", name} if f"from {other} import" in source]
        assert not others, f"{name} imports the script {others}"


def test_every_run_of_an_experiment_is_listed_and_no_other():
    """Or none at all: its plan is written down, in a commit of its own, before its first run."""
    for name in MADE:
        experiment, results = EXPERIMENTS[name], FILES[name]
        made = sorted(json.dumps([run["config"], run["seed"]], sort_keys=True) for run in results["runs"])
        assert made == sorted(json.dumps(run, sort_keys=True) for run in experiment.runs), name
        assert {run.get("precision") for run in results["runs"]} <= {"fp32", "bf16"}, name
        assert (results["what"], results["unit"]) == (experiment.what, experiment.unit), name
        assert results["provenance"].get("note", "") == experiment.note, name
    assert {name for name, r in FILES.items() if r["provenance"]["code"].startswith("experiments/")} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_it_is_of_today_s_code(name):
    reason = stale(EXPERIMENTS[name].script)
    assert reason is None, f"{name}: {reason}. Run: make verify ARGS='--only {name}'"
