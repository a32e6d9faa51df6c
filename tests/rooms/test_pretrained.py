"""Weights that travel with the library: a round trip, what is refused or missing, and what the examiner can do."""

import json
from pathlib import Path

import pytest
import torch

from moe_lib import Manager, clustering_accuracy, match_experts
from moe_lib.checkpoint import CheckpointError
from moe_lib.ladder import ConvManager, load_weights, save_weights
from moe_lib.measures import examine

RESULTS = Path(__file__).parents[2] / "book" / "results"


def runs(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["runs"]


def test_weights_come_back_to_half_precision_ready_to_use(tmp_path):
    torch.manual_seed(0)
    model = ConvManager(10, channels=(4, 8), hidden=16)
    model(torch.rand(50, 784))  # in training: moves the statistics of batch normalisation
    assert save_weights(model, "some", tmp_path) == tmp_path / "some.safetensors"
    again = load_weights(ConvManager(10, channels=(4, 8), hidden=16), "some", tmp_path)
    assert not again.training
    for name, value in model.state_dict().items():
        assert again.state_dict()[name].dtype == value.dtype
        rounded = value.half().float() if value.is_floating_point() else value
        assert torch.equal(again.state_dict()[name], rounded)
    assert [path.name for path in tmp_path.iterdir()] == ["some.safetensors"]


def test_a_folder_may_be_a_word_and_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model = Manager(2, 2)
    assert save_weights(model, "some", "~/weights") == tmp_path / "weights" / "some.safetensors"
    load_weights(Manager(2, 2), "some", "~/weights")
    load_weights(Manager(2, 2), "some", str(tmp_path / "weights"))


@pytest.mark.parametrize("value", [1e5, -1e5, torch.inf])
def test_weights_beyond_half_precision_are_refused_and_nothing_is_written(tmp_path, value):
    model = Manager(2, 2)
    model.layers[-1].bias.data[..., 1] = value
    with pytest.raises(ValueError, match=r"layers\.2\.bias has values beyond 65504, the largest of float16"):
        save_weights(model, "some", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights 'none'.*there are: none"):
        load_weights(ConvManager(10), "none", tmp_path)
    save_weights(Manager(2, 2), "some", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there are: some"):
        load_weights(Manager(2, 2), "none", tmp_path)


def test_the_examiner_reads_as_well_as_its_results_say(examiner, test_half):
    assert not examiner.training
    with torch.no_grad():
        parts = [examiner(images).argmax(dim=1) for images in test_half.images.split(1000)]
    right = (torch.cat(parts) == test_half.labels).float().mean().item()
    assert right == pytest.approx(runs("examiner")[0]["metrics"]["accuracy"], abs=2e-4)
    assert right >= 0.99


def test_the_best_model_sorts_and_draws_as_well_as_its_results_say(pretrained, examiner, mnist_halves):
    said = min(
        (run["metrics"] for run in runs("invariance") if run["config"]["neighbours"]),
        key=lambda metrics: metrics["train_total"][-1],  # chosen without labels
    )
    train, test = mnist_halves
    found = pretrained.assign(test.images)
    assert clustering_accuracy(found, test.labels) == pytest.approx(said["accuracy"], abs=5e-4)
    drawn = examine(pretrained.experts, examiner, match_experts(found, test.labels))
    assert drawn.accuracy == pytest.approx(said["drawn_right"], abs=2e-3)
    assert drawn.covered == 10
    few = train.images[:3000]  # a twentieth: all of them say the same, to three places, and take a while
    assert pretrained.consistency(few, few) == pytest.approx(said["train_consistency"], abs=0.03)


def test_weights_that_changed_or_are_torn_are_refused(tmp_path):
    path = save_weights(ConvManager(num_experts=3), "some", tmp_path)
    whole = bytearray(path.read_bytes())
    load_weights(ConvManager(num_experts=3), "some", tmp_path)
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="has changed since it was written"):
        load_weights(ConvManager(num_experts=3), "some", tmp_path)
    path.write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="is torn"):
        load_weights(ConvManager(num_experts=3), "some", tmp_path)
