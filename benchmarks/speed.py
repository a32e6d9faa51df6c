"""How fast is the post's model, written and computed in six ways, on this machine? And with more experts?

    make bench                      on the best device there is; about a quarter of an hour on two cores
    make bench ARGS="--quick"       fewer rounds, and nothing is written
    make bench ARGS="--part ways"   measures one part again: ways, experts or processes

Writes book/results/speed_DEVICE.json, if this machine can do all of it: without bfloat16 it only prints. Each way
runs in a process of its own; they take turns, an epoch each, so that a noisy quarter of an hour hits all alike, and
the medians are reported. Chapter 6 reads the file.
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plain
from moe_lib import Digits, ImportanceCV2, fit, mnist, moe_vae
from moe_lib.records.results import device_name, load_results, save_results
from moe_lib.scaling import SparseMixture, compiled_step
from moe_lib.training import has_bf16, resolve_device

ROOT = Path(__file__).parents[1]
SEED = 0
BATCH = 100
ROUNDS = 7
WAYS = {
    "loop": "ten modules in a loop, Adam as it comes",
    "loop-fused": "ten modules in a loop, fused Adam",
    "fp32": "moe_lib",
    "fp32-compiled": "moe_lib, compiled",
    "bf16": "moe_lib, bfloat16",
    "bf16-compiled": "moe_lib, bfloat16 and compiled",
}
EXPERTS = (10, 20, 40, 80, 160)
PARTS = {"ways": ("machine", "memory", "model", "way"), "experts": ("experts",), "processes": ("processes",)}


def median_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of a piece of work: the median of nine, after three to warm up."""
    seconds = []
    for _ in range(12):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[3:])


def rate(dtype: torch.dtype, device: torch.device, size: int) -> float:
    """Floating-point operations a second of one large product (size, size) × (size, size)."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / median_seconds(lambda: a @ b, device)


def bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written, of copying half a gigabyte."""
    a = torch.zeros(2**27, device=device)
    b = torch.zeros_like(a)
    return 2 * a.nbytes / median_seconds(lambda: b.copy_(a), device)


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was asked."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def operations(images: torch.Tensor) -> int:
    """Floating-point operations of the products in one epoch of the post's model, forward and backward."""
    model = plain.PlainMixture()
    with FlopCounterMode(display=False) as counter:
        model(images[:BATCH]).backward()
    return counter.get_total_flops() * (len(images) // BATCH)


def needed() -> dict[str, int]:
    """Bytes of the parameters, of Adam's two moments, and of what one batch keeps for its backward pass."""
    model = moe_vae()
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.rand(BATCH, 784)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.objective(x, x)
    parameters = sum(p.nbytes for p in model.parameters())
    del loss
    return {"parameters": parameters, "moments": 2 * parameters, "activations": sum(kept.values())}


class Memory:
    """Peak memory of this process, in bytes, beyond what it holds now."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.base = torch.cuda.memory_allocated()
        elif sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # hand back what reading the data has left
            Path("/proc/self/clear_refs").write_bytes(b"5")
            self.base = self._status("VmRSS")

    def peak(self) -> int | None:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() - self.base
        return self._status("VmHWM") - self.base if sys.platform == "linux" else None

    @staticmethod
    def _status(name: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def take_turns(way: str, epochs: int, images: int | None = None) -> None:
    """A contender: trains an epoch whenever a line comes in, and answers with its seconds and its peak memory."""
    device = resolve_device()
    images = mnist()[0].images[:images]
    compiled = way.endswith("compiled")
    warnings.simplefilter("error", UserWarning)  # a way that falls back is none
    if compiled:
        torch.compile(torch.sin)(torch.ones(3))  # load the compiler: it is part of PyTorch, not of the training
    memory = Memory(device)
    start = time.perf_counter()

    def on_epoch(epoch: int, model: object = None) -> None:
        nonlocal start
        synchronize(device)
        print(json.dumps({"seconds": time.perf_counter() - start, "peak": memory.peak()}), flush=True)
        if epoch < epochs:
            sys.stdin.readline()
        start = time.perf_counter()

    torch.manual_seed(SEED)
    if way.startswith("loop"):
        plain.train(images.to(device), epochs, fused=way == "loop-fused", on_epoch=on_epoch)
    else:
        settings = {"epochs": epochs, "batch_size": BATCH, "lr": 1e-3, "seed": SEED, "progress": False}
        settings |= {"precision": way.split("-")[0], "step": compiled_step if compiled else None}
        fit(moe_vae(), images, images, **settings, on_epoch=on_epoch)


def race(ways: list[str], rounds: int, images: int = 60_000) -> dict[str, dict]:
    """All ways in turns: seconds of each round, of the first epoch, and peak memory.

    The first epoch warms up and, where the step is compiled, compiles it from nothing.
    """
    command = [sys.executable, "-m", "benchmarks.speed", f"--rounds={rounds}", f"--images={images}", "--way"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8", "cwd": ROOT}
    caches = {way: tempfile.TemporaryDirectory() for way in ways}
    runners = {}
    for way, cache in caches.items():
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache.name}
        runners[way] = subprocess.Popen([*command, way], **pipes, env=environment)
    found = {way: [] for way in ways}
    for turn in range(rounds + 2):  # the first answer says: ready
        for way, runner in runners.items():
            if turn:
                runner.stdin.write("go\n")
                runner.stdin.flush()
            found[way].append(json.loads(runner.stdout.readline()))
    for way, runner in runners.items():
        runner.communicate()
        caches[way].cleanup()
    return {
        way: {
            "rounds": [a["seconds"] for a in answers[2:]],
            "first": answers[1]["seconds"],
            "peak": answers[-1]["peak"],
        }
        for way, answers in found.items()
    }


def epoch_seconds(experts: int, top_k: int | None, batch: int, images: torch.Tensor) -> dict[str, float]:
    """Seconds of an epoch with that many experts, from a few steps, and the peak memory."""
    steps = 10
    few = images[: steps * batch]
    torch.manual_seed(SEED)
    model = moe_vae(experts, balance=ImportanceCV2(10.0))
    if top_k:
        model = SparseMixture(model.manager, model.experts, model.balance, top_k)
    memory = Memory(resolve_device())
    history = fit(model, few, few, epochs=4, batch_size=batch, lr=1e-3, seed=SEED, progress=False)
    return {
        "epoch_seconds": statistics.median(history.seconds[1:]) * len(images) / len(few),
        "peak": memory.peak(),
        "parameters": sum(p.nbytes for p in model.parameters()),
    }


def in_processes(number: int, threads: int, epochs: int, images: int = 60_000) -> dict:
    """Curve and seconds of a run in so many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}"]
    command += [str(ROOT / "benchmarks" / "processes.py")]
    command += [f"--epochs={epochs}", f"--threads={threads}", f"--images={images}"]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return json.loads(done.stdout.strip().splitlines()[-1])


def timed(config: dict, work: Callable[[], dict]) -> tuple[dict, dict, float]:
    """Settings, measures, seconds."""
    start = time.perf_counter()
    return config, work(), time.perf_counter() - start


def measure_ways(digits: Digits, device: torch.device, quick: bool) -> Iterator[tuple[dict, dict, float]]:
    """What the machine can do, what the model needs, and how fast each way is."""
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    size = 2048 if device.type == "cpu" else 8192
    for name, dtype in types.items():
        yield timed({"part": "machine", "precision": name}, lambda dtype=dtype: {"flops": rate(dtype, device, size)})
    yield timed({"part": "memory"}, lambda: {"bandwidth": bandwidth(device)})
    yield timed({"part": "model"}, lambda: {"operations": operations(digits.images), **needed()})

    ways = [way for way in WAYS if has_bf16(device) or not way.startswith("bf16")]
    start = time.perf_counter()
    for way, outcome in race(ways, rounds=1 if quick else ROUNDS).items():
        yield {"part": "way", "way": way}, outcome, (time.perf_counter() - start) / len(ways)


def measure_experts(digits: Digits, device: torch.device, quick: bool) -> Iterator[tuple[dict, dict, float]]:
    """Dense and top-2, small batches and large, for more and more experts."""
    for batch in (100, 1000):
        for experts in EXPERTS[: 2 if quick else None]:
            for top_k in (None, 2):
                config = {"part": "experts", "experts": experts, "top_k": top_k, "batch": batch}
                yield timed(config, lambda c=config: epoch_seconds(c["experts"], c["top_k"], c["batch"], digits.images))


def measure_processes(digits: Digits, device: torch.device, quick: bool) -> Iterator[tuple[dict, dict, float]]:
    """One process and two, on a machine with at least two cores."""
    if device.type == "cpu" and (os.cpu_count() or 1) > 1:
        for number, threads in ((1, 1), (1, 2), (2, 1)):
            config = {"part": "processes", "processes": number, "threads": threads}
            yield timed(config, lambda n=number, t=threads: in_processes(n, t, epochs=1 if quick else 3))


def report(runs: list[dict]) -> str:
    """The table of the ways."""
    part = lambda name: [run for run in runs if run["config"]["part"] == name]  # noqa: E731
    flops = {run["config"]["precision"]: run["metrics"]["flops"] for run in part("machine")}
    model = part("model")[0]["metrics"]
    seconds = {run["config"]["way"]: statistics.median(run["metrics"]["rounds"]) for run in part("way")}
    lines = [f"{'':40} s/epoch   x loop   of the machine's rate   peak memory"]
    for run in part("way"):
        way = run["config"]["way"]
        precision = "bf16" if way.startswith("bf16") else "fp32"
        share = model["operations"] / seconds[way] / flops[precision]
        peak = run["metrics"]["peak"]
        memory = "unknown" if peak is None else f"{peak / 2**20:.0f} MiB"
        lines.append(
            f"{WAYS[way]:40} {seconds[way]:7.2f} {seconds['loop'] / seconds[way]:8.2f} "
            f"{share:12.0%} of {flops[precision] / 1e9:6.0f} GFLOP/s {memory:>10}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, few sizes; writes nothing")
    parser.add_argument("--part", choices=PARTS, help="measure this part again, and keep the others of the file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        take_turns(arguments.way, epochs=arguments.rounds + 1, images=arguments.images)
        return

    device, (digits, _), runs = resolve_device(), mnist(), []
    name = f"speed_{device.type}"
    if arguments.part:
        runs = [r for r in load_results(name)["runs"] if r["config"]["part"] not in PARTS[arguments.part]]
    measures = {"ways": measure_ways, "experts": measure_experts, "processes": measure_processes}
    for part in [arguments.part] if arguments.part else measures:
        for config, metrics, seconds in measures[part](digits, device, arguments.quick):
            run = {"config": config, "metrics": metrics, "seconds": seconds, "device": device_name(device)}
            runs.append({"seed": SEED, **run})
            print(f"{config}: {metrics}", flush=True)
    runs.sort(key=lambda run: [p for parts in PARTS.values() for p in parts].index(run["config"]["part"]))
    print(report(runs))
    if not arguments.quick and has_bf16(device):
        what = "the post's MoE-VAE, how fast and how large"
        unit = "seconds, bytes, floating-point operations (a second)"
        save_results(name, what, unit, runs, code="benchmarks/speed.py")


if __name__ == "__main__":
    main()
