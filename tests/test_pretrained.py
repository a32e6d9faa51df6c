"""Weights that travel with the library: a round trip, what is missing, and what the examiner can do."""

import pytest
import torch
from moe_lib.pretrained import load_weights, save_weights

from moe_lib import (
    ConvManager,
    clustering_accuracy,
    examine,
    load_examiner,
    load_pretrained,
    load_results,
    match_experts,
    mnist,
)


def test_weights_come_back_to_half_precision_ready_to_use(tmp_path):
    torch.manual_seed(0)
    model = ConvManager(10, channels=(4, 8), hidden=16)
    model(torch.rand(50, 784))  # in training: moves the statistics of batch normalisation
    save_weights(model, "some", tmp_path)
    again = load_weights(ConvManager(10, channels=(4, 8), hidden=16), "some", tmp_path)
    assert not again.training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=1e-3, rtol=1e-3)
        assert again.state_dict()[name].dtype == value.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["some.safetensors"]


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights 'none'.*there are: none"):
        load_weights(ConvManager(10), "none", tmp_path)


def test_the_examiner_reads_as_well_as_its_results_say():
    _, test = mnist()
    with torch.no_grad():
        right = (load_examiner()(test.images).argmax(dim=1) == test.labels).float().mean().item()
    assert right == pytest.approx(load_results("examiner")["runs"][0]["metrics"]["accuracy"], abs=2e-4)
    assert right >= 0.99


def test_the_best_model_sorts_and_draws_as_well_as_its_results_say():
    runs = [run for run in load_results("invariance")["runs"] if run["config"]["neighbours"]]
    said = min(runs, key=lambda run: run["metrics"]["train_total"][-1])["metrics"]  # chosen without labels
    _, test = mnist()
    model = load_pretrained()
    found = model.assign(test.images)
    assert clustering_accuracy(found, test.labels) == pytest.approx(said["accuracy"], abs=5e-4)
    drawn = examine(model.experts, load_examiner(), match_experts(found, test.labels))
    assert drawn.accuracy == pytest.approx(said["drawn_right"], abs=2e-3)
    assert drawn.covered == 10
    images = mnist()[0].images
    assert model.consistency(images, images) == pytest.approx(said["train_consistency"], abs=1e-3)
