"""A long experiment: a list of runs and one function. It goes on where it stopped, and loses no finished run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moe_lib.records.provenance import fingerprint, stale
from moe_lib.records.results import device_name, load_results, processor, save_results
from moe_lib.training import Precision, has_bf16, resolve_device


@dataclass(frozen=True)
class Experiment:
    """What a script in experiments/ is about; its last line is ``if __name__ == "__main__": EXPERIMENT.run()``."""

    name: str
    """Of the results file; the script is called so too."""
    what: str
    """What is measured, in words."""
    unit: str
    """Of the metrics."""
    runs: Sequence[tuple[dict, int]]
    """(config, seed) of each; configs survive JSON unchanged."""
    one: Callable[[dict, int], dict[str, Any]]
    """One run, from its config and seed to its `outcome`; it changes no file that others rely on."""
    note: str = ""
    """What a reader of the results file must know of its runs."""

    @cached_property
    def script(self) -> Path:
        """Where the experiment is written down."""
        return Path(self.one.__code__.co_filename).resolve()

    @property
    def folder(self) -> Path:
        """Where its results are."""
        return self.script.parents[1] / "book" / "results"

    def recorded(self) -> list[dict]:
        """The runs that the results file holds."""
        return load_results(self.name, self.folder)["runs"] if (self.folder / f"{self.name}.json").is_file() else []

    def run(self) -> bool:
        """Makes each run that the results file does not hold yet, writes it after each, and says whether there was any.

        Raises:
            ValueError: if the file holds finished runs that are not named, or that other code has made. It throws none
                away.
        """
        done = self.recorded()
        self._refuse_to_drop(done)
        this_code, before = fingerprint(self.script), len(done)
        for i, (config, seed) in enumerate(self.runs, 1):
            if any(run["config"] == config and run["seed"] == seed for run in done):
                continue
            run = self.repeat(config, seed)
            done.append(run)
            more = {"fingerprint": this_code} | ({"note": self.note} if self.note else {})
            code = self.script.relative_to(self.script.parents[1]).as_posix()
            save_results(self.name, self.what, self.unit, done, code, self.folder, **more)
            said = f"{run['metrics']} ({run['seconds']:.0f} s)"
            print(f"{self.name} {i}/{len(self.runs)}: {config}, seed {seed}: {said}", flush=True)
        return len(done) > before

    def repeat(self, config: dict, seed: int) -> dict[str, Any]:
        """One run as the results file lists it, written nowhere. A run that fails is a result too."""
        try:
            found = self.one(config, seed)
        except FloatingPointError as error:
            found = {"metrics": {}, "failed": str(error), "seconds": 0.0, "device": "unknown"}
        return {"seed": seed, "config": config, **found}

    def _refuse_to_drop(self, done: list[dict]) -> None:
        strays = [run for run in done if (run["config"], run["seed"]) not in list(self.runs)]
        if strays:
            raise ValueError(
                f"{self.name} has {len(strays)} finished runs that are not asked for, the first with "
                f"{strays[0]['config']}, seed {strays[0]['seed']}: name them again in {self.script.name}, or take them "
                f"out of {self.name}.json by hand"
            )
        if 0 < len(done) < len(self.runs) and (reason := stale(self.script)):
            raise ValueError(
                f"{self.name} has {len(done)} finished runs, and {reason}: `python tools/verify.py --only {self.name}` "
                f"repeats the first and says whether the others may stay"
            )


def outcome(
    metrics: dict[str, Any], seconds: float, precision: Precision = "fp32", device: str | None = "cpu"
) -> dict[str, Any]:
    """What a run gave, and where. Of the precision asked for it keeps the one that the processor has: see `fit`."""
    where = resolve_device(device)
    return {
        "metrics": metrics,
        "seconds": seconds,
        "device": device_name(where),
        "precision": precision if precision == "fp32" or has_bf16(where) else "fp32",
        "processor": processor(),
    }
