"""Models in files: every class of the library comes back bit for bit, and from any other file nothing does."""

import inspect
import json
import os
import pickle
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import moe_lib.ladder
import moe_lib.language
import moe_lib.scaling
from moe_lib import (
    CheckpointError,
    CooperatingExperts,
    ExpertLinear,
    FixedManager,
    ImportanceCV2,
    ImportanceVariance,
    Information,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    SwitchBalance,
    VAEExperts,
    checkpoint,
)
from moe_lib.ladder import (
    AnnealedManager,
    Augmentation,
    BiasedManager,
    ConvManager,
    ConvVAEExperts,
    Deformation,
    Floor,
    GateKL,
    InvariantMixture,
    JointManager,
    LikelihoodMixture,
    MixtureExperts,
    MixtureTree,
    NoExperts,
    PrototypeExperts,
    SinkhornManager,
    StackedManagers,
    SumOf,
    TaughtManager,
    flattened,
)
from moe_lib.language import LanguageModel, ZLoss
from moe_lib.layers import Configured
from moe_lib.records import load, save
from moe_lib.scaling import SparseMixture

from .small import train

CONV = {"channels": (2, 3), "hidden": 4}


def mixture(manager=None, kind=MixtureOfExperts, balance=None, **options):
    return kind(manager or Manager(4, 2, hidden=(3,)), VAEExperts(2, 4, (3,), 2), balance, **options)


def tree():
    lowest = MixtureExperts(StackedManagers(6, 4, 2, hidden=()), VAEExperts(12, 4, (3,), 2), Floor(1.0, 0.2))
    middle = MixtureExperts(StackedManagers(2, 4, 3, (5,), "relu"), lowest, ImportanceCV2(0.2))
    return MixtureTree(Manager(4, 2, hidden=()), middle, Information(0.3))


def invariant():
    manager, experts = ConvManager(2, **CONV), ConvVAEExperts(2, (3,), 2, 0.3, "tanh", channels=(2, 3))
    return InvariantMixture(manager, experts, 3.0, 1.25, Augmentation(erase=0.25, knots=2))


MODELS = {
    "a layer": lambda: ExpertLinear(2, 3, 4),
    "a manager": lambda: Manager(4, 3, hidden=(3, 2), activation="tanh"),
    "a convolutional manager": lambda: ConvManager(3, **CONV),
    "managers side by side": lambda: StackedManagers(2, 4, 3),
    "regressions": lambda: RegressionExperts(3, 2, 4, degree=3, hidden=(5,), activation="relu"),
    "vaes": lambda: VAEExperts(2, 4, (), 3, decoder_std=1 / 3, activation="relu"),
    "convolutional vaes": lambda: ConvVAEExperts(2, (3,), 2, channels=(2, 3)),
    "prototypes": lambda: PrototypeExperts(torch.rand(2, 784), 3, Deformation(knots=2), std=0.7, free=5),
    "the post's mixture": lambda: mixture(balance=ImportanceVariance(0.1)),
    "a sparse mixture": lambda: mixture(kind=SparseMixture, balance=SwitchBalance(0.1), top_k=np.int64(2)),
    "a likelihood": lambda: mixture(kind=LikelihoodMixture, balance=SumOf(GateKL(1.0), Floor(2.0, share=0.1))),
    "cooperation": lambda: CooperatingExperts(Manager(1, 2), RegressionExperts(2)),
    "an annealed manager": lambda: mixture(AnnealedManager(Manager(4, 2), start=5.0, steps=7)),
    "a biased manager": lambda: mixture(BiasedManager(Manager(4, 2), rate=0.02)),
    "a manager of Sinkhorn's": lambda: mixture(SinkhornManager(Manager(4, 2), rounds=3)),
    "an invariant mixture": invariant,
    "a manager alone": lambda: InvariantMixture(ConvManager(2, **CONV), NoExperts(2)),
    "a taught manager": lambda: TaughtManager(ConvManager(2, **CONV), Augmentation(knots=2)),
    "a language model": lambda: LanguageModel(
        5,
        width=4,
        heads=2,
        depth=1,
        context=6,
        balance=SwitchBalance(0.1),
        z_loss=ZLoss(0.2),
        hidden=3,
        num_experts=4,
        top_k=2,
        capacity=1.5,
        bias_rate=0.1,
    ),
    "a tree": tree,
    "a tree seen from its leaves": lambda: flattened(tree()),
}
SPECIAL = torch.tensor([0.0, -0.0, 1e5, 1e-42, torch.inf, -torch.inf, 3.4e38, torch.nan])  # no float16 holds them


def parts(cls):
    """All classes of the library that have settings, but for those that are only built upon."""
    for kind in cls.__subclasses__():
        if kind.__module__.startswith("moe_lib.") and not inspect.isabstract(kind) and kind.__name__[0] != "_":
            yield kind
        yield from parts(kind)


def test_no_class_of_the_library_is_forgotten():
    used = {type(module) for build in MODELS.values() for module in build().modules()}
    settings = [part for build in MODELS.values() for module in build().modules() for part in vars(module).values()]
    used |= {type(part) for part in settings} | {Deformation, GateKL}
    assert {SumOf, JointManager, Augmentation, LikelihoodMixture} < used
    helpers = {"WeightedTerm"}
    assert {kind.__name__ for kind in set(parts(Configured)) - used} <= helpers


@pytest.mark.parametrize("name", MODELS)
def test_every_model_comes_back_bit_for_bit(name, tmp_path):
    torch.manual_seed(0)
    model = MODELS[name]()
    for i, value in enumerate(model.state_dict().values()):  # buffers too: what was counted, and statistics
        if value.is_floating_point():
            value.copy_(torch.randn_like(value))
            value.flatten()[: len(SPECIAL)].copy_(SPECIAL.roll(i)[: value.numel()])
        else:
            value.fill_(1234567)
    again = load(save(model, tmp_path / "model.safetensors"))
    assert type(again) is type(model)
    assert repr(again) == repr(model)
    assert not any(part.training for part in again.modules())
    assert all(p.requires_grad for p in again.parameters())
    there, here = again.state_dict(), model.state_dict()
    assert there.keys() == here.keys()
    for key, value in here.items():
        assert there[key].dtype == value.dtype
        assert torch.equal(there[key].flatten().view(torch.uint8), value.flatten().view(torch.uint8)), key
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_what_comes_back_sorts_and_learns_as_before(tmp_path):
    torch.manual_seed(0)
    model = tree()
    x = torch.rand(16, 4)
    again = load(save(model, tmp_path / "tree.safetensors"))
    assert torch.equal(again.leaf_path(x), model.leaf_path(x))
    assert train(again, x, batch_size=8).total == train(model, x, batch_size=8).total


def test_other_types_of_numbers_are_not_rounded(tmp_path):
    model = Manager(2, 2).double()
    model.layers[0].weight.data += 1e-12
    again = load(save(model, tmp_path / "double.safetensors")).layers[0].weight
    assert again.dtype == torch.float64
    assert torch.equal(again, model.layers[0].weight)


def test_paths_may_be_words_and_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert save(Manager(2, 2), "~/folder/model.safetensors") == tmp_path / "folder" / "model.safetensors"
    load("~/folder/model.safetensors")
    load(str(tmp_path / "folder" / "model.safetensors"))


def test_a_loaded_model_does_not_hang_on_its_file(tmp_path):
    model = Manager(2, 2)
    path = save(model, tmp_path / "model.safetensors")
    again = load(path)
    whole = path.read_bytes()
    with path.open("r+b") as stream:  # in place, as a copying program does it
        stream.seek(len(whole) // 2)
        stream.write(bytes(len(whole) - len(whole) // 2))
    assert torch.equal(again.layers[-1].weight, model.layers[-1].weight)


def test_a_missing_file_is_told_from_a_bad_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(tmp_path / "none.safetensors")


@pytest.fixture
def whole(tmp_path):
    torch.manual_seed(0)
    return save(mixture(), tmp_path / "whole.safetensors").read_bytes()


def refused(path, content, match="."):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=match):
        load(path)
    assert path.read_bytes() == content, "it is left as it is"


def test_a_torn_file_is_refused(tmp_path, whole):
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        refused(tmp_path / "torn.safetensors", whole[:length], "torn")


def test_a_file_with_one_flipped_bit_is_refused(tmp_path, whole):
    places = [*random.Random(0).sample(range(8 * len(whole)), 150), 8 * len(whole) - 1, 64]
    for bit in places:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(tmp_path / "flipped.safetensors", bytes(flipped))


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.rand(3)}, path)
    refused(path, path.read_bytes(), "was not written by this moe_lib")
    path = tmp_path / "run.safetensors"
    train(mixture(), torch.rand(16, 4), epochs=1, checkpoint=path)
    refused(path, path.read_bytes(), r"checkpoint of a training run; hand it to fit\(\.\.\., checkpoint=\.\.\.\)")


class Opens:
    """Makes a folder as soon as it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_nothing_is_unpickled(tmp_path):
    refused(tmp_path / "a", pickle.dumps(Opens(tmp_path / "opened")))
    torch.save({"settings": Opens(tmp_path / "opened")}, tmp_path / "b")
    refused(tmp_path / "b", (tmp_path / "b").read_bytes())
    assert not (tmp_path / "opened").exists()


def sealed(path, settings, version="9.0"):
    """A file with a right seal, as anybody can write one."""
    checkpoint.write(path, {"weight": torch.rand(2)}, {"settings": json.dumps(settings), "version": version})
    return path.read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"class": "NotYetInvented", "settings": {}},
        {"class": "cellar.Manager", "settings": {}},
        {"class": "Manager", "settings": {"in_features": 2, "num_experts": 2, "a_later_setting": 1}},
        {"class": "Manager", "settings": {"in_features": 2, "num_experts": 2}},  # its weights are others
        {"class": "Manager"},
        {"class": 7, "settings": {}},
        {"class": "", "settings": {}},
        {"class": ".os.system", "settings": {}},
        {"class": "os.system", "settings": {"command": "exit 1"}},
        {"class": "torch.nn.Linear", "settings": {"in_features": 2, "out_features": 2}},
        {"class": "checkpoint.os.system", "settings": {"command": "exit 1"}},
        {"class": "records.saving.import_module", "settings": {"name": "this"}},
        {"class": "scaling.save", "settings": {}},
        {"class": "Points", "settings": {"x": 1, "y": 2, "segment": 3}},
        {"class": "checkpoint.Checkpoint", "settings": {}},
        {"class": "ImportanceCV2", "settings": {"weight": 1.0}},  # of the library, and no model
        {"shape": [3]},
        {"shape": [10**15]},
        [1, 2],
        "Manager",
        None,
    ],
    ids=str,
)
def test_only_models_of_this_library_are_built(settings, tmp_path):
    refused(tmp_path / "later", sealed(tmp_path / "later", settings), "saved by moe_lib 9.0, does not fit this one")


def test_what_is_no_model_is_not_even_built(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(
        moe_lib, "Other", type("Other", (), {"__init__": lambda self: built.append(self)}), raising=False
    )
    refused(tmp_path / "other", sealed(tmp_path / "other", {"class": "Other", "settings": {}}), "Other is no model")
    monkeypatch.setattr(moe_lib, "other", lambda: built.append("called"), raising=False)
    refused(tmp_path / "other", sealed(tmp_path / "other", {"class": "other", "settings": {}}), "other is no model")
    assert built == []


class Mine(Manager):
    """Somebody's own manager."""


def test_what_no_file_holds_is_refused_and_the_old_file_stays(tmp_path):
    path = save(Manager(2, 2), tmp_path / "model.safetensors")
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"Mine is not of moe_lib; safetensors\.torch\.save_model keeps its weights"):
        save(mixture(Mine(4, 2)), path)
    home = type("AtHome", (Manager,), {"__module__": "__main__"})  # as in a notebook
    with pytest.raises(TypeError, match="AtHome is not of moe_lib"):
        save(home(2, 2), path)
    with pytest.raises(TypeError, match="cannot be saved: a file holds numbers, words and parts of moe_lib"):
        save(mixture(FixedManager(lambda x: torch.zeros(len(x)).long(), 2)), path)
    with pytest.raises(TypeError, match="cannot be saved"):
        save(mixture(balance=lambda p: p.sum()), path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_what_is_saved_can_be_imported_where_it_is_exported():
    for room in (moe_lib, moe_lib.ladder, moe_lib.language, moe_lib.scaling):
        assert all(hasattr(room, name) for name in room.__all__)
