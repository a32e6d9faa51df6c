"""Results files: one small JSON for each long experiment, every run in it, and what it was run with."""

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_PACKED = Path(__file__).parent / "book_results"  # travels in the wheel
_CHECKOUT = Path(__file__).parents[2] / "book" / "results"
FOLDER = _PACKED if _PACKED.is_dir() else _CHECKOUT


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
    results = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(results, dict) or (missing := {"what", "unit", "runs", "provenance"} - set(results)):
        raise ValueError(
            f"{path} is no results file: it lacks {sorted(missing) if isinstance(results, dict) else 'all'}"
        )
    return results


def save_results(
    name: str, what: str, unit: str, runs: list[dict], code: str, folder: Path = FOLDER, **provenance: Any
) -> Path:
    """Writes a results file whole or not at all.

    Args:
        name: of the file, without its ending.
        what: was measured.
        unit: of the metrics.
        runs: all of them, failed ones too.
        code: what made it: the path of a script or chapter.
        folder: where it is written.
        **provenance: what else is known of the run, such as its fingerprint.
    """
    made = {"versions": versions(), "processor": processor(), "code": code, "date": date.today().isoformat()}
    return _write(folder / f"{name}.json", {"what": what, "unit": unit, "runs": runs, "provenance": made | provenance})


def stamp_results(name: str, verified: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Notes in a results file when, where and how its first run was repeated; the runs stay as they are."""
    results = load_results(name, folder)
    results["provenance"]["verified"] = verified
    return _write(folder / f"{name}.json", results)


def _write(path: Path, results: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.part")
    scratch.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")
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


def processor() -> str:
    """The kind of processor, "AMD x86_64 with avx2": its maker, and the extensions that decide how PyTorch multiplies.

    On two of the same kind, with the same versions and as many threads, a run is expected to give the same numbers.
    """
    have = [torch.backends.cpu.get_cpu_capability().lower()]
    for word, ask in (("avx512_bf16", "_is_avx512_bf16_supported"), ("amx", "_is_amx_tile_supported")):
        if getattr(torch.cpu, ask, lambda: False)():  # private, and not in every version
            have.append(word)
    return " ".join(filter(None, [_maker(), platform.machine(), "with", ", ".join(have)]))


def _maker() -> str:
    """Who made the processor, as Linux says it; elsewhere nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((maker for maker, sign in (("AMD", "AuthenticAMD"), ("Intel", "GenuineIntel")) if sign in text), "")
