"""What every chapter does alike: its profile, its claims, its tables, and the record of its run."""

import math
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar, get_args

import torch

from moe_lib.records.results import device_name, versions
from moe_lib.teaching.claims import Claims
from moe_lib.training import resolve_device

Profile = Literal["full", "smoke"]
T = TypeVar("T")


def show_markdown(text: str) -> None:
    """Shows Markdown: prose with a run's own numbers in it, the same in HTML, Jupyter and Colab."""
    from IPython.display import Markdown, display  # loaded when used: scripts do without it

    display(Markdown(text))


def show_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Shows a Markdown table: a header, then the rows."""
    lines = [header, ["---"] * len(header), *rows]
    show_markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def mean_sd(values: Sequence[float], form: str = ".1%") -> str:
    """Mean and sample standard deviation of several runs in words, "63.0% ± 6.0%".

    Of fewer than five runs a standard deviation says next to nothing: their mean comes with their number instead,
    "63.0% (n = 3)".

    Raises:
        ValueError: if there are no values.
    """
    if len(values) == 0:
        raise ValueError("mean_sd was given no values; give one for each run")
    mean = f"{statistics.mean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):{form}}" if len(values) >= 5 else f"{mean} (n = {len(values)})"


def value_range(values: Sequence[float], form: str = ".1%") -> str:
    """The lowest and the highest value in words, "55.1% to 70.2%".

    Raises:
        ValueError: if there are no values.
    """
    if len(values) == 0:
        raise ValueError("value_range was given no values; give one for each run")
    return f"{min(values):{form}} to {max(values):{form}}"


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread, which is fastest where models are tiny.

    Several spend their time waiting for one another there, and ten times as much while other programs keep the cores
    busy. It is used as ``with one_thread():``, or as ``@one_thread()`` above a function.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Chapter:
    """One run of one chapter.

    Args:
        name: the chapter's file without its ending.
        profile: "full" for the outputs that are published, "smoke" for the same cells in under a minute.
        seed: stated in the record of the run.
        device: where it trains, if it names a device itself; the best there is unless given.
        threads: how many threads PyTorch computes with; see `one_thread`.

    Raises:
        ValueError: if the profile is neither.
    """

    def __init__(
        self, name: str, profile: Profile, seed: int, device: str | None = None, threads: int | None = None
    ) -> None:
        if profile not in get_args(Profile):
            raise ValueError(f"profile is {profile!r}; choose one of {', '.join(get_args(Profile))}")
        if threads is not None:
            torch.set_num_threads(threads)
        self.name, self.profile, self.seed, self.device = name, profile, seed, resolve_device(device)
        self.claims = Claims(judge=profile == "full")
        self.metrics: dict[str, float] = {}
        self._start = time.perf_counter()

    def pick(self, *, full: T, smoke: T) -> T:
        """The setting of this run's profile."""
        return full if self.profile == "full" else smoke

    def record(self, **metrics: float) -> None:
        """Keeps numbers of this run for other chapters: `make execute` writes them to book/results/NAME.json."""
        self.metrics |= metrics

    def close(self) -> None:
        """Shows where, with what and for how long this chapter ran; the record travels in the output's metadata."""
        from IPython.display import Markdown, display

        seconds, device = time.perf_counter() - self._start, device_name(self.device)
        packages = ", ".join(f"{name} {number}" for name, number in versions().items())
        run = {
            "seed": self.seed,
            "config": {"profile": self.profile},
            "metrics": {name: float(v) if math.isfinite(v) else None for name, v in self.metrics.items()},
            "seconds": round(seconds, 1),
            "device": device,
        }
        text = (
            f"*This run: profile {self.profile}, seed {self.seed}, {device}, {seconds / 60:.1f} minutes; {packages}.*"
        )
        display(Markdown(text), metadata={"moe_run": run})
