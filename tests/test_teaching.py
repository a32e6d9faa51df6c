"""What chapters share: what claims keep and when they fail a run, how tables and numbers look, how a run is set."""

import contextlib
import math
import statistics
import subprocess
import sys

import pytest
import torch

from moe_lib.records.provenance import ROOT
from moe_lib.teaching import Chapter, Claims, mean_sd, one_thread, show_markdown, show_table, value_range


@pytest.fixture
def shown(monkeypatch):
    """Markdown that was displayed."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda markdown, **_: texts.append(markdown.data))
    return texts


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_claim_that_holds_is_shown_with_its_value(shown):
    claims = Claims()
    claims.add("water boils, °C", 100.0, at_least=99, at_most=101)
    claims.show()
    assert "| ✓ | water boils, °C | at least 99 and at most 101 | 100 |" in shown[0]


@pytest.mark.parametrize("measured", [98.0, 102.0, float("nan")])
def test_a_claim_that_does_not_hold_fails_the_run_after_showing_it(shown, measured):
    claims = Claims()
    claims.add("water boils", measured, at_least=99, at_most=101)
    with pytest.raises(AssertionError, match="water boils: promised at least 99 and at most 101"):
        claims.show()
    assert "| ✗ | water boils" in shown[0]


def test_a_setting_that_is_put_back_is_forgiven(shown):
    claims = Claims()
    claims.add("water boils", 100.0, at_least=99)
    claims.add("ice melts", 0.0, at_most=1)
    claims.add("water boils", 60.0, at_least=99)  # the same cell, run again high up in the mountains
    with pytest.raises(AssertionError, match="water boils: promised at least 99, measured 60"):
        claims.show()
    claims.add("water boils", 100.0, at_least=99)
    claims.show()
    rows = [line for line in shown[-1].splitlines() if line.startswith("| ✓")]
    assert rows == ["| ✓ | water boils | at least 99 | 100 |", "| ✓ | ice melts | at most 1 | 0 |"], "once, in place"


def test_a_shortened_run_judges_only_what_always_holds(shown):
    claims = Claims(judge=False)
    claims.add("needs training", 0.0, at_least=1)
    claims.show()
    assert "| – | needs training" in shown[0]
    claims.add("arithmetic", 0.0, at_least=1, always=True)
    with pytest.raises(AssertionError, match="arithmetic"):
        claims.show()


def test_a_claim_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="has no bound"):
        Claims().add("anything", 1.0)


def test_a_chapter_picks_by_its_profile(shown):
    full, smoke = (Chapter("x", profile, seed=0) for profile in ("full", "smoke"))
    assert (full.pick(full=100, smoke=2), smoke.pick(full=100, smoke=2)) == (100, 2)
    assert (full.claims.judge, smoke.claims.judge) == (True, False)
    full.close()
    assert "profile full, seed 0" in shown[-1]


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="profile is 'fast'; choose one of full, smoke"):
        Chapter("x", "fast", seed=0)


def test_a_chapter_of_tiny_models_computes_on_one_thread_and_its_record_says_so(shown, threads):
    torch.set_num_threads(2)
    Chapter("x", "full", seed=0, device="cpu")
    assert torch.get_num_threads() == 2, "as many as there were, unless asked"
    chapter = Chapter("x", "full", seed=0, device="cpu", threads=1)
    assert torch.get_num_threads() == 1
    chapter.close()
    assert "cpu, 1 thread" in shown[-1]


def test_a_part_of_a_chapter_may_compute_on_one_thread(threads):
    torch.set_num_threads(2)

    @one_thread()
    def train(fails):
        assert torch.get_num_threads() == 1
        assert not fails, "an error ends it too"

    for fails in (False, True, False):
        with pytest.raises(AssertionError, match="ends it too") if fails else contextlib.nullcontext():
            train(fails)
        assert torch.get_num_threads() == 2


def test_the_record_of_a_run_has_its_numbers(monkeypatch):
    records = []
    monkeypatch.setattr("IPython.display.display", lambda _, metadata: records.append(metadata["moe_run"]))
    chapter = Chapter("x", "smoke", seed=3)
    chapter.record(loss=torch.tensor(1.5))
    chapter.record(lost=math.nan, seeds=2)
    chapter.close()
    assert records[0]["metrics"] == {"loss": 1.5, "lost": None, "seeds": 2.0}
    assert records[0]["seed"] == 3
    assert records[0]["config"] == {"profile": "smoke"}


def test_tables_and_prose_are_markdown(shown):
    show_markdown("so **many**")
    show_table(["", "nats"], [("one", 1), ("two", "2.0")])
    assert shown == ["so **many**", "|  | nats |\n| --- | --- |\n| one | 1 |\n| two | 2.0 |"]


def test_a_spread_is_told_of_five_runs_or_more():
    values = [0.5, 0.6, 0.7, 0.8, 0.9]
    assert mean_sd(values) == f"70.0% ± {statistics.stdev(values):.1%}"
    assert mean_sd(values[:4]) == "65.0% (n = 4)"
    assert mean_sd([0.5], ".2f") == "0.50 (n = 1)"
    assert value_range(values[:2], ".2f") == "0.50 to 0.60"


@pytest.mark.parametrize("words", [mean_sd, value_range])
def test_nothing_measured_is_said_in_words(words):
    with pytest.raises(ValueError, match="no values; give one for each run"):
        words([])


def test_a_script_that_reads_results_loads_nothing_that_draws():
    command = [sys.executable, "-c", "import sys, moe_lib.teaching; print(*sys.modules)"]
    ran = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", cwd=ROOT)
    loaded = set(ran.stdout.split())
    assert "moe_lib.teaching" in loaded
    assert not loaded & {"IPython", "matplotlib.pyplot", "pandas", "seaborn", "sklearn", "torchvision", "scipy"}
