"""The results files of the book: every run that their script names is in them, and nothing else."""

import importlib
import json
import re

import freshness
import pytest

FILES = sorted((freshness.BOOK / "results").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_has_the_form_of_a_results_file(path):
    results = json.loads(path.read_text())
    assert set(results) == {"what", "unit", "runs", "provenance"}
    assert {"versions", "code"} <= set(results["provenance"])
    assert (freshness.ROOT / results["provenance"]["code"]).is_file()
    for run in results["runs"]:
        assert {"seed", "config", "metrics", "seconds", "device"} <= set(run)
        assert run["seconds"] > 0 or "failed" in run


@pytest.mark.parametrize("path", sorted((freshness.ROOT / "experiments").glob("*.py")), ids=lambda path: path.stem)
def test_every_run_of_an_experiment_is_listed(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    experiment = importlib.import_module(path.stem)
    if not hasattr(experiment, "RUNS"):
        assert path.stem == "scoring"
        return
    runs = json.loads((freshness.BOOK / "results" / f"{path.stem}.json").read_text())["runs"]
    key = lambda run: json.dumps(run, sort_keys=True)  # noqa: E731
    assert sorted(map(key, ([run["config"], run["seed"]] for run in runs))) == sorted(map(key, experiment.RUNS))
    assert re.search(rf"python experiments/{path.stem}\.py", experiment.__doc__)
