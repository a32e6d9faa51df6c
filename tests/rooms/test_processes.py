"""Two processes on this machine, over gloo: the same curve as one, and the balancing term of the whole batch."""

import pytest
import torch
from torch.distributed.run import main as torchrun

from moe_lib import ImportanceVariance
from moe_lib.scaling import gather, num_processes, rank, shared_step

from .small import assert_same_bits, small_moe_vae, train, weights
from .two_processes import ALIKE, trained

TOLERANCE = 1e-5  # relative: float32 sums of the same numbers in another order


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes found; torchrun is started once for all tests."""
    folder = tmp_path_factory.mktemp("two")
    torchrun(["--standalone", "--nproc-per-node=2", "-m", "tests.rooms.two_processes", str(folder)])
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def same(first, second):
    for curve in ("expected", "balancing"):
        assert first[curve] == second[curve]
    assert_same_bits(first["weights"], second["weights"])


@pytest.mark.parametrize("name", [*ALIKE, "convolutional", "balanced apart", "interrupted", "compiled"])
def test_all_processes_end_with_the_same_weights_and_the_same_history(both, name):
    same(both[0][name], both[1][name])


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_equal_one(both, name):
    one, two = trained(*ALIKE[name]), both[0][name]
    assert two["expected"] == pytest.approx(one["expected"], rel=TOLERANCE)
    assert two["balancing"] == pytest.approx(one["balancing"], rel=TOLERANCE, abs=1e-6)
    if name != "sinkhorn":  # whose last bias changes nothing: its gradient is rounding, and Adam makes steps of it
        for weight, value in one["weights"].items():
            torch.testing.assert_close(two["weights"][weight], value, rtol=1e-3, atol=1e-5, msg=f"{name}: {weight}")


def test_balancing_each_part_alone_is_another_term(both):
    assert both[0]["balanced apart"]["balancing"][0] < 0.9 * both[0]["mixture"]["balancing"][0]


def test_a_run_of_two_processes_goes_on_from_its_checkpoint(both):
    same(both[0]["interrupted"], both[0]["mixture"])


def test_a_compiled_step_of_two_processes_shares_and_says_so(both):
    for found in both:
        assert len(found["compiled"]["said"]) == 1
        assert "would not share gradients with the other processes" in found["compiled"]["said"][0]
        same(found["compiled"], found["mixture"])


def test_gathered_rows_and_what_flows_back(both):
    rows = torch.cat([torch.arange(4.0).view(2, 2), torch.arange(4.0).view(2, 2) + 10])
    for i, found in enumerate(both):
        assert found["number"] == (2, i)
        assert torch.equal(found["gathered"]["whole"], rows)
        weight = torch.arange(4.0).square()[2 * i : 2 * i + 2].unsqueeze(1).expand(2, 2)
        assert torch.equal(found["gathered"]["gradient"], (1 + 2) * weight)


def test_a_batch_that_cannot_be_shared_out(both):
    for found in both:
        assert found["uneven"] == "batch_size is 9; 2 processes cannot share it out evenly"


def test_afterwards_a_model_is_alone_again(both):
    assert all(found["afterwards"] == both[0]["afterwards"] for found in both)


def test_alone_nothing_happens():
    p = torch.rand(4, 3)
    assert gather(p) is p
    assert (num_processes(), rank()) == (1, 0)
    plain, shared = small_moe_vae(), small_moe_vae()
    assert train(plain).total == train(shared, step=shared_step).total
    assert_same_bits(weights(plain), weights(shared))


def test_the_variance_of_halves_is_not_the_variance_of_the_whole():
    """Chapter 6: two halves that are unbalanced in opposite ways make a balanced batch."""
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    balance = ImportanceVariance(1.0)
    assert balance(p) == 0
    assert (balance(p[:2]) + balance(p[2:])) / 2 == 1
