"""Two processes on this machine, over gloo: the same curve as one, and the balancing term of the whole batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_training import small_moe_vae, train, weights

from moe_lib import CheckpointError, ImportanceVariance, processes

TOLERANCE = 1e-5  # relative: float32 sums of the same numbers in another order

TWO = """
import json, sys, torch
import torch.distributed as dist
sys.path.insert(0, sys.argv[1])
from test_processes import local_balance
from test_training import small_moe_vae, train, weights
dist.init_process_group("gloo")
checkpoint = sys.argv[3] or None
model = small_moe_vae(seed=int(sys.argv[6]) + dist.get_rank())  # other weights on the second: the first's count
if sys.argv[4]:
    local_balance()
history = train(model, epochs=int(sys.argv[5]), checkpoint=checkpoint)
values = {name: value.tolist() for name, value in weights(model).items()}
with open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w") as stream:
    json.dump({"expected": history.expected, "balancing": history.balancing, "weights": values}, stream)
dist.destroy_process_group()
"""


def local_balance():
    """What a plain data-parallel run does: each process balances its own part."""
    import moe_lib.mixture

    moe_lib.mixture.gather = lambda p: p


def two_processes(folder, checkpoint="", local="", epochs=3, seed=0):
    script = folder / "two.py"
    script.write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    arguments = [str(Path(__file__).parent), str(folder), str(checkpoint), local, str(epochs), str(seed)]
    subprocess.run(command + arguments, check=True, capture_output=True, text=True, timeout=120)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_equal_one(tmp_path):
    one = small_moe_vae()
    history = train(one)
    first, second = two_processes(tmp_path)
    assert first == second, "all processes end with the same weights and the same history"
    assert first["expected"] == pytest.approx(history.expected, rel=TOLERANCE)
    assert first["balancing"] == pytest.approx(history.balancing, rel=TOLERANCE)
    for name, value in weights(one).items():
        torch.testing.assert_close(torch.tensor(first["weights"][name]), value, rtol=1e-3, atol=1e-5)


def test_balancing_each_part_alone_is_another_term(tmp_path):
    history = train(small_moe_vae())
    first, _ = two_processes(tmp_path, local="local")
    assert first["balancing"][0] < 0.9 * history.balancing[0]


def test_a_run_of_two_processes_goes_on_from_its_checkpoint(tmp_path):
    whole, _ = two_processes(tmp_path)
    two_processes(tmp_path, checkpoint=tmp_path / "run.safetensors", epochs=2)
    resumed, _ = two_processes(tmp_path, checkpoint=tmp_path / "run.safetensors", seed=7)  # the file brings the weights
    assert resumed == whole
    with pytest.raises(CheckpointError, match="processes 2 there, 1 here"):
        train(small_moe_vae(), checkpoint=tmp_path / "run.safetensors")


def test_alone_nothing_happens():
    p = torch.rand(4, 3)
    assert processes.gather(p) is p
    assert processes.share(10) == slice(0, 10)
    assert torch.equal(processes.mean(p), p)


def test_a_batch_that_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(processes, "num_processes", lambda: 3)
    with pytest.raises(ValueError, match="batch_size is 16; 3 processes cannot share it out evenly"):
        processes.share(16)


def test_the_variance_of_halves_is_not_the_variance_of_the_whole():
    """Chapter 6: two halves that are unbalanced in opposite ways make a balanced batch."""
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    balance = ImportanceVariance(1.0)
    assert balance(p) == 0
    assert (balance(p[:2]) + balance(p[2:])) / 2 == 1
