"""Results files: one small JSON for each long experiment, every run in it, and what it was run with."""

import json
import os
import platform
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_CHECKOUT = Path(__file__).parent.parent / "book" / "results"
FOLDER = _CHECKOUT if _CHECKOUT.is_dir() else Path(__file__).parent / "results"  # the second travels in the wheel


def load_results(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The results file `name`:  {"what", "unit", "runs": [{"seed", "config", "metrics", "seconds", "device"}], …}.

    Raises:
        FileNotFoundError: if there is none; it says which there are and how they are made.
        ValueError: if it is no results file.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.json"))) or "none"
        raise FileNotFoundError(
            f"no results {name!r} (there are: {there}). If {name} is a chapter, make execute writes them; "
            f"if it is an experiment: python experiments/{name}.py"
        )
    results = json.loads(path.read_text())
    if missing := {"what", "unit", "runs", "provenance"} - set(results):
        raise ValueError(f"{path} is no results file: it lacks {sorted(missing)}")
    return results


def save_results(name: str, what: str, unit: str, runs: list[dict], code: str, folder: Path = FOLDER) -> Path:
    """Writes a results file whole or not at all. `code` is what made it: the path of a script or chapter."""
    path = folder / f"{name}.json"
    provenance = {"versions": versions(), "code": code, "date": date.today().isoformat()}
    results = {"what": what, "unit": unit, "runs": runs, "provenance": provenance}
    scratch = path.with_suffix(f".{os.getpid()}.part")
    scratch.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(scratch, path)
    return path


def versions() -> dict[str, str]:
    """The versions that decide what a run gives."""
    return {"python": platform.python_version()} | {
        package: version(package) for package in ("torch", "torchvision", "numpy", "scikit-learn")
    }


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def run_all(
    name: str, what: str, unit: str, code: str, runs: Iterable[tuple[dict, int]], one: Callable[[dict, int], dict]
) -> None:
    """Runs `one(config, seed)` for each pair that the results file does not hold yet, and writes after each.

    `one` returns {"metrics", "seconds", "device"}. An experiment that was killed so goes on where it stopped.

    Raises:
        ValueError: if the file holds finished runs that `runs` does not name; it says which, and throws none away.
    """
    try:
        done = load_results(name)["runs"]
    except FileNotFoundError:
        done = []
    wanted = list(runs)
    if strays := [run for run in done if (run["config"], run["seed"]) not in wanted]:
        raise ValueError(
            f"{name} has {len(strays)} finished runs that are not asked for, the first with {strays[0]['config']}, "
            f"seed {strays[0]['seed']}: name them again in {code}, or take them out of {name}.json by hand"
        )
    for i, (config, seed) in enumerate(wanted, 1):
        if any(run["config"] == config and run["seed"] == seed for run in done):
            continue
        try:
            outcome = one(config, seed)
        except FloatingPointError as error:  # a failed run is a result too
            outcome = {"metrics": {}, "failed": str(error), "seconds": 0.0, "device": "unknown"}
        run = {"seed": seed, "config": config, **outcome}
        done.append(run)
        save_results(name, what, unit, done, code)
        print(f"{name} {i}/{len(wanted)}: {config}, seed {seed}: {run['metrics']} ({run['seconds']:.0f} s)", flush=True)
