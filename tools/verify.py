"""Does today's code still give the recorded results? Repeats the first run of every experiment's results file.

    python tools/verify.py                  each whose code has changed since it was made or last verified
    python tools/verify.py --only seeds     this one; again, if --force is given
    python tools/verify.py --each           not the first run of a file alone, but the first of every configuration
    python tools/verify.py --list           which would be repeated, and how long its first run took

What agrees is stamped: the file says which runs were repeated, when, on what kind of processor and how they agree. What
does not agree is printed, and the exit status is 1. It can be stopped and started again: what is stamped is not
repeated.

Number for number: every number within 1 part in 100,000, every string the same. This is asked of a run of the same kind
of processor, precision, threads and versions; elsewhere it is tried first, and is enough.

Within the spread of the seeds: everywhere else. Rounding differs there, and training magnifies it, so that a run is in
effect another seed. Let low and high be the extremes of a number over all recorded seeds of the same configuration. The
repeated one must lie between low - d and high + d, d being the larger of high - low and 1 % of the recorded number (of
counts, 1). This finds what is broken, and no small shift. Only one seed recorded: there is no spread, and d is 5 %.
Left out are what depends on how experts happen to be numbered: lists of counts, and pictures.

Never compared: seconds, since they say how busy a machine was. A number that is recorded, and not found again, differs.
"""

import argparse
import importlib
import math
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import torch

from moe_lib.records.experiment import Experiment
from moe_lib.records.provenance import fingerprint, stale
from moe_lib.records.results import device_name, load_results, processor, stamp_results, versions

ROOT = Path(__file__).parents[1]
EXACT, FLOOR, ALONE = 1e-5, 0.01, 0.05
NUMBERED = {"counts", "drawings", "sevens", "by_stage"}  # by expert, and which expert is the first is chance


def experiments(folder: Path = ROOT / "experiments") -> dict[str, Experiment]:
    """Every experiment by its name."""
    sys.path.insert(0, str(folder))
    modules = [importlib.import_module(path.stem) for path in sorted(folder.glob("*.py"))]
    return {module.EXPERIMENT.name: module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")}


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a run's metrics, by its path, but for seconds."""
    if name.rsplit(".", 1)[-1].startswith("seconds"):
        return
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{name}.{key}".lstrip("."))
    else:
        yield name, value


def compare(recorded: dict, repeated: dict, seeds: list[dict], exact: bool) -> tuple[str | None, list[str]]:
    """How two runs agree, in words, or None; and what differs.

    Args:
        recorded, repeated: the runs.
        seeds: all recorded runs of that configuration.
        exact: whether only number for number will do.
    """
    if "failed" in recorded or "failed" in repeated:
        same = ("failed" in recorded) == ("failed" in repeated)
        return ("it fails again", []) if same else (None, [f"failed: {repeated.get('failed', 'no longer')}"])
    before, now = dict(numbers(recorded["metrics"])), dict(numbers(repeated["metrics"]))
    differ = [_line(name, old, now.get(name)) for name, old in before.items() if not _same(old, now.get(name))]
    if not differ:
        return "number for number", []
    if exact:
        return None, differ
    others = [dict(numbers(run["metrics"])) for run in seeds if "failed" not in run]
    differ = []
    for name, old in before.items():
        if name.split(".")[0] in NUMBERED or not isinstance(old, int | float):
            continue
        values = [other[name] for other in others if isinstance(other.get(name), int | float)]
        low, high = _allowed(old, values)
        if not (isinstance(now.get(name), int | float) and low <= now[name] <= high):
            differ.append(f"{_line(name, old, now.get(name))}, allowed {low:.6g} to {high:.6g}")
    alone = "within 5 % of the only seed" if len(others) == 1 else f"within the spread of {len(others)} seeds"
    return (None, differ) if differ else (alone, [])


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return math.isclose(old, new, rel_tol=EXACT, abs_tol=1e-12) or (math.isnan(old) and math.isnan(new))
    return old == new


def _allowed(old: float, values: list[float]) -> tuple[float, float]:
    least = 1 if isinstance(old, int) else (FLOOR if len(values) > 1 else ALONE) * abs(old)
    slack = max(max(values) - min(values), least)
    return min(values) - slack, max(values) + slack


def _line(name: str, old: Any, new: Any) -> str:
    old, new = (f"{v:.6g}" if isinstance(v, float) else "some text" if isinstance(v, str) else v for v in (old, new))
    return f"{name}: recorded {old}, now {'missing' if new is None else new}"


def verify(experiment: Experiment, each: bool = False) -> bool:
    """Repeats the first run, or with `each` that of every configuration, and stamps the results file if all agree."""
    results, this_code, start = (
        load_results(experiment.name, experiment.folder),
        fingerprint(experiment.script),
        time.time(),
    )
    firsts = [
        run for i, run in enumerate(results["runs"]) if run["config"] not in [r["config"] for r in results["runs"][:i]]
    ]
    verdicts = [repeat(experiment, run, results) for run in (firsts if each else firsts[:1])]
    if None in verdicts:
        return False
    stamp = {
        "date": date.today().isoformat(),
        "repeated": verdicts,
        "processor": processor(),
        "versions": versions(),
        "seconds": round(time.time() - start, 1),
        "fingerprint": this_code,
    }
    stamp_results(experiment.name, stamp, experiment.folder)
    return True


def repeat(experiment: Experiment, recorded: dict, results: dict) -> dict | None:
    """Repeats one run and says how it agrees with the recorded one; None, and what differs in print, if it does not."""
    seeds = [run for run in results["runs"] if run["config"] == recorded["config"]]
    here, threads = recorded.get("processor") == processor(), torch.get_num_threads()
    if here:
        torch.set_num_threads(_threads(recorded["device"], threads))
    name, what = experiment.name, f"{recorded['config']}, seed {recorded['seed']}"
    print(f"{name}: repeating {what}, which took {recorded['seconds']:.0f} s as recorded", flush=True)
    start = time.perf_counter()
    try:
        repeated = experiment.repeat(recorded["config"], recorded["seed"])
        alike = recorded["device"] == device_name(torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)
    seconds = time.perf_counter() - start
    exact = here and alike and recorded.get("precision") == repeated.get("precision")
    exact = exact and _deciding(results["provenance"]["versions"]) == _deciding(versions())
    agreed, differ = compare(recorded, repeated, seeds, exact)
    if agreed is None:
        print(f"{name}: DIFFERS, after {seconds:.0f} s", *differ, sep="\n    ", flush=True)
        return None
    print(f"{name}: agrees, {agreed}, after {seconds:.0f} s", flush=True)
    of = {"config": recorded["config"], "seed": recorded["seed"]}
    return of | {"comparison": agreed, "precision": repeated.get("precision", "unknown")}


def _deciding(made_with: dict[str, str]) -> dict[str, str]:
    return {package: number for package, number in made_with.items() if package != "python"}


def _threads(device: str, otherwise: int) -> int:
    """As many as the run had: "cpu, 2 threads" → 2."""
    words = device.split()
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else otherwise


def main(known: dict[str, Experiment] | None = None, arguments: list[str] | None = None) -> int:
    """Returns the exit status: how it went with all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these results files; all unless given")
    parser.add_argument("--force", action="store_true", help="those too whose code has not changed")
    parser.add_argument("--each", action="store_true", help="repeat one run of every configuration")
    parser.add_argument("--list", action="store_true", help="say what would be done, and do nothing")
    asked = parser.parse_args(arguments)
    known = experiments() if known is None else known
    if unknown := set(asked.only or ()) - set(known):
        parser.error(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    bad = []
    for name, experiment in known.items():
        if (asked.only and name not in asked.only) or not experiment.recorded():
            continue
        reason = "asked for" if asked.force else stale(experiment.script)
        if reason is None:
            print(f"{name}: verified, and nothing has changed since")
        elif asked.list:
            first = experiment.recorded()[0]
            print(f"{name}: {reason}; its first run took {first['seconds']:.0f} s on {first['device']}")
        else:
            print(f"{name}: {reason}")
            try:
                agrees = verify(experiment, asked.each)
            except Exception:  # the others are repeated all the same
                print(f"{name}: CANNOT BE REPEATED\n{traceback.format_exc()}", flush=True)
                agrees = False
            bad += [] if agrees else [name]
    if bad:
        print(f"not verified: {', '.join(bad)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
