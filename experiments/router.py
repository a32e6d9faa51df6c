"""The manager in a language model: is it worth its weights, does it collapse, do its experts specialise? Chapter 11.

    python experiments/router.py     about an hour on one CPU core; goes on where it was stopped

A transformer of two blocks reads two novels once, one character after the other. Its feed-forward layers are mixtures
of eight experts, or of one, which is a dense layer. Five seeds of each setting; the ends of both novels are held out.

Batch, rate and positions were chosen with fourteen pilot runs of seed 100, of a dense model, of top-1 and of top-2 with
Switch's term. At this rate and batch the dense model came to 1.737 nats and top-1 to 1.681. A first version of this
script, with learnt positions and twice the rate, was stopped after six runs of seed 0, since all its losses were above
those of the two pilot runs: 1.838 and 1.794 nats for the dense models with 128 and 256 hidden units, 1.908, 1.910 and
1.874 for top-1, top-2 and top-1 without a term, 1.955 with the bias; seven or eight experts were in use in each layer,
with and without a term. Nothing else was seen before. The weight of Switch's term is
its paper's, 0.01, and CV² has the same; the z-loss has 0.001. The bias moves by 0.01 a step, ten times as much as in
its paper, since our runs have a thousand steps.

Before the first run we expected this of the means over five seeds:

1. Worth. Top-1 beats the dense model with as many active weights by 0.02 to 0.07 nats per character. Top-2 beats top-1,
   by less than that. The dense model with as many weights in all beats everything. After three readings top-1 is
   further ahead of the dense model than after one.
2. Collapse. Without a term top-1 does not collapse to one expert as the mixture of VAEs did: five to eight of eight
   experts are in use in each layer, and its loss is at most 0.03 above that with Switch's term. Switch, CV² and the
   bias keep all eight in use, with losses within 0.02 of one another. The z-loss alone changes nothing in the number of
   experts. With a capacity of 1.25 the run without a term drops more than a sixth of its tokens at the end, those with
   Switch's term or the bias less than a twentieth.
3. The bias also works inside the softmax, where chapter 8 put it and saw a collapse: what differs is what p multiplies.
4. Specialise or cooperate. A layer whose experts have changed places does worse than one whose experts are silent: they
   specialise. Removing an expert costs less than swapping two, and 0.02 to 0.2 nats on average. In a top-2 model the
   first of the two alone costs less than 0.1 nats: nothing like the cooperation of chapter 2.
5. In what? In the first layer the present character explains over half of the entropy of the choice, in the second
   less. Both know more of it than of the next one. The place in the window, of which managers with random weights know
   0.9 nats where positions are learnt, counts for less than 0.1 after training, speech and the novel for less than
   0.02.

The last setting was added when the others had run with seed 0. There experts specialised, although their outputs are
weighted, which chapter 2 calls cooperation. Is it the choice of a few that makes them? With all eight computing every
character we expected that the first alone costs over 0.3 nats, at least five times as much as in the top-2 model.

FALLING was added when all others had run. Their bias kept all eight in use throughout the end of training, and yet
frozen at its last value it left some out: at a step of 0.01 it swings, and the last value is one phase of the swing. In
DeepSeek-V3 the step is 0.001, and zero at the end. Here it falls with the learning rate. Expected: all eight in use at
the end, and with top-1 at most half of the price against Switch's term (0.031 nats in the mean of five).
"""

import math
import time
from functools import cache
from itertools import count, pairwise

import torch
from torch import Tensor

from moe_lib import ImportanceCV2, SwitchBalance, fit
from moe_lib.language import LanguageModel, ZLoss, austen, windows
from moe_lib.records.experiment import Experiment, outcome

BATCH, RATE, HIDDEN = 8, 0.01, 128
BALANCES = {"switch": SwitchBalance(0.01), "cv2": ImportanceCV2(0.01)}
ONE, EIGHT = {"experts": 1, "hidden": HIDDEN}, {"experts": 8, "hidden": HIDDEN}
SETTINGS = [
    {**ONE},
    {**EIGHT, "top_k": 1, "balance": "switch"},
    {**EIGHT, "top_k": 2, "balance": "switch"},
    {**EIGHT, "top_k": 1},
    {**EIGHT, "top_k": 1, "bias": 0.01},
    {**ONE, "hidden": 2 * HIDDEN},
    {**ONE, "hidden": 8 * HIDDEN},
    {**EIGHT, "top_k": 1, "balance": "cv2"},
    {**EIGHT, "top_k": 1, "z_loss": 0.001},
    {**EIGHT, "top_k": 2},
    {**EIGHT, "top_k": 2, "bias": 0.01},
    {**EIGHT, "top_k": 1, "bias_in_softmax": 0.01},
    {**EIGHT, "top_k": 1, "capacity": 1.25},
    {**EIGHT, "top_k": 1, "balance": "switch", "capacity": 1.25},
    {**EIGHT, "top_k": 1, "bias": 0.01, "capacity": 1.25},
    {**EIGHT, "top_k": 8, "balance": "switch"},
]
FALLING = [{**EIGHT, "top_k": k, "bias": 0.01, "bias_falls": True} for k in (1, 2)]
LONGER = [{**config, "epochs": 3} for config in SETTINGS[:3]]
PLAN = [(config, seed) for settings in (SETTINGS, FALLING, LONGER) for seed in range(5) for config in settings]
RUNS = PLAN[:90]  # those of one reading; those of three are not made yet
EDGES = [  # steps, of about a thousand
    0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 384, 448,
    512, 576, 640, 704, 768, 832, 896, 960,
]  # fmt: skip


@cache
def pieces() -> dict[str, Tensor]:
    """Windows of the text: of training, of the test, and those 64 of the test that interventions are tried on."""
    text = austen()
    (x, y), (test_x, test_y) = windows(text.train), windows(text.test)
    few = torch.linspace(0, len(test_x) - 1, 64).long()
    return {"x": x, "y": y, "test_x": test_x, "test_y": test_y, "few_x": test_x[few], "few_y": test_y[few]}


def build(config: dict) -> LanguageModel:
    """The model of a setting, with random weights."""
    z_loss = ZLoss(config["z_loss"]) if "z_loss" in config else None
    return LanguageModel(
        len(austen().alphabet), balance=BALANCES.get(config.get("balance")), z_loss=z_loss, hidden=config["hidden"],
        num_experts=config["experts"], top_k=config.get("top_k", 1), capacity=config.get("capacity"),
        bias_rate=config.get("bias", 0.0),
    )  # fmt: skip


def one(config: dict, seed: int) -> dict:
    torch.manual_seed(seed)
    model, data, mixed = build(config), pieces(), config["experts"] > 1
    before = information(decisions(model.eval())) if mixed else None
    if rate := config.get("bias_in_softmax"):
        for block in model.blocks:
            move_inside(block.layer, rate)
    seen: list[list[Tensor]] = [[] for _ in model.blocks]  # of each layer, by step: load and dropped (2, E)
    hooks = [block.layer.register_forward_hook(note(log)) for block, log in zip(model.blocks, seen, strict=True)]
    if config.get("bias_falls"):
        steps = math.ceil(len(data["x"]) / BATCH)
        hooks += [block.layer.register_forward_pre_hook(falling(config["bias"], steps)) for block in model.blocks]
    settings = {
        "epochs": config.get("epochs", 1),
        "batch_size": BATCH,
        "lr": RATE,
        "seed": seed,
        "schedule": warm_then_down,
    }
    start = time.process_time()
    history = fit(model, data["x"], data["y"], **settings, device="cpu", progress=False)
    seconds = time.process_time() - start
    for hook in hooks:
        hook.remove()
    metrics = {"train_loss": history.expected, "train_balancing": history.balancing, **costs(model)}
    if "capacity" in config:
        metrics["loss_dropping"] = loss_of(model, data["test_x"], data["test_y"], BATCH)
        for block in model.blocks:
            block.layer.capacity = None
    metrics["loss"] = loss_of(model, data["test_x"], data["test_y"])
    if mixed:
        decided = decisions(model)
        loads = [load_of(chosen, p.shape[1]) for p, chosen in decided]
        metrics |= over_training(seen, keep_load=seed == 0)
        metrics |= {"gates": gates(decided), "information": information(decided), "information_before": before}
        metrics["changed"] = interventions(model, loads)
    return outcome(metrics, seconds)


def warm_then_down(done: float) -> float:
    """Up during the first tenth of the steps, then down along half a cosine."""
    return done / 0.1 + 0.01 if done < 0.1 else 0.01 + 0.99 * (1 + math.cos(math.pi * (done - 0.1) / 0.9)) / 2


def falling(rate: float, steps: int):
    """A hook by which the step of a layer's bias follows the learning rate."""
    done = count()

    def follow(part, given):
        if part.training:
            part.bias_rate = rate * warm_then_down(next(done) / steps)

    return follow


def move_inside(layer, rate: float) -> None:
    """The bias as chapter 8 tried it: added to the logits, so that it moves the weights as well as the choice."""
    inside = torch.zeros(layer.num_experts)
    layer.manager.register_forward_hook(lambda manager, given, logits: logits + inside)

    def move(part, given, found):
        if part.training:
            load = found[1].load.float()
            inside.add_(rate * (load.mean() - load).sign())

    layer.register_forward_hook(move)


def note(log: list[Tensor]):
    """A hook that keeps a layer's load and dropped tokens in training."""

    def keep(part, given, found):
        if part.training:
            log.append(torch.stack([found[1].load, found[1].dropped.sum(dim=0)]))

    return keep


# What a model costs


def costs(model: LanguageModel) -> dict[str, int]:
    """Weights in all, those that a character meets, and operations per character of a forward pass."""
    layer, blocks = model.blocks[0].layer, len(model.blocks)
    weights = sum(p.numel() for p in model.parameters())
    expert = sum(p[0].numel() for p in layer.experts.parameters())
    active = weights - blocks * (layer.num_experts - layer.top_k) * expert
    tables = model.embedding.weight.numel()  # looked up, not multiplied
    attention = 4 * model.embedding.embedding_dim * (model.context + 1) // 2  # scores and sums over what came before
    return {"weights": weights, "active": active, "operations": 2 * (active - tables) + blocks * attention}


# What it loses when its experts are moved


@torch.no_grad()
def loss_of(model: LanguageModel, x: Tensor, y: Tensor, batch: int = 32) -> float:
    """Nats per character; the size of a batch matters only where tokens are dropped."""
    parts = [(model(*part).expected.item(), len(part[0])) for part in zip(x.split(batch), y.split(batch), strict=True)]
    return sum(loss * n for loss, n in parts) / len(x)


def interventions(model: LanguageModel, loads: list[Tensor]) -> dict:
    """Loss on the few windows as it is, and after changes of one layer at a time, or of both, which are undone."""
    few, layers = (pieces()["few_x"], pieces()["few_y"]), [block.layer for block in model.blocks]

    def after(change, *changed) -> float:
        before = [({k: v.clone() for k, v in part.state_dict().items()}, part.top_k, part.scaled) for part in changed]
        for part in changed:
            change(part)
        loss = loss_of(model, *few)
        for part, (weights, part.top_k, part.scaled) in zip(changed, before, strict=True):
            part.load_state_dict(weights)
        return loss

    every = range(layers[0].num_experts)
    busiest = [load.topk(2).indices.tolist() for load in loads]
    return {
        "as it is": loss_of(model, *few),
        "removed": [[after(lambda part, e=e: remove(part, e), part) for e in every] for part in layers],
        "alone": [[after(lambda part, e=e: leave_alone(part, e), part) for e in every] for part in layers],
        "swapped": [
            after(lambda part, two=two: swap(part, *two), part) for part, two in zip(layers, busiest, strict=True)
        ],
        "shifted": [after(shift, part) for part in layers],
        "silent": [after(silence, part) for part in layers],
        "first alone": after(first_alone, *layers),
    }


def remove(layer, expert: int) -> None:
    """An expert that is never chosen: the next best takes its tokens."""
    layer.bias[expert] = -math.inf
    layer.top_k = min(layer.top_k, layer.num_experts - 1)


def leave_alone(layer, expert: int) -> None:
    """One expert for all tokens, with a weight of one."""
    layer.bias[expert] = math.inf
    first_alone(layer)


def first_alone(layer) -> None:
    """Only the first choice of each token computes, with a weight of one."""
    layer.top_k, layer.scaled = 1, True


def swap(layer, first: int, second: int) -> None:
    """Two experts have changed places."""
    order = list(range(layer.num_experts))
    order[first], order[second] = second, first
    reorder(layer, order)


def shift(layer) -> None:
    """Every expert has the place of its neighbour."""
    reorder(layer, [(e + 1) % layer.num_experts for e in range(layer.num_experts)])


def silence(layer) -> None:
    """No expert says anything."""
    layer.experts[-1].weight.data.zero_()
    layer.experts[-1].bias.data.zero_()


def reorder(layer, order: list[int]) -> None:
    for weight in layer.experts.parameters():
        weight.data = weight.data[order].clone()


# What its managers know


@torch.no_grad()
def decisions(model: LanguageModel) -> list[tuple[Tensor, Tensor]]:
    """For each layer p (N, E) and the experts chosen (N, k) for every character of the test."""
    read = [model.read(x)[1] for x in pieces()["test_x"].split(32)]
    return [
        tuple(torch.cat([getattr(batch[layer], name) for batch in read]) for name in ("p", "chosen"))
        for layer in range(len(model.blocks))
    ]


def gates(decided: list[tuple[Tensor, Tensor]]) -> list[dict]:
    """The load of each expert, experts in use by it, the manager's confidence, and how often a choice is repeated."""
    found, context = [], pieces()["test_x"].shape[1]
    for p, chosen in decided:
        load = load_of(chosen, p.shape[1])
        first = chosen[:, 0].view(-1, context)
        of_layer = {"load": rounded(load), "in_use": in_use(load), "top_p": p.amax(dim=1).mean().item()}
        of_layer["entropy"] = -(p * p.clamp_min(1e-30).log()).sum(dim=1).mean().item()
        of_layer["repeated"] = (first[:, 1:] == first[:, :-1]).float().mean().item()
        of_layer["repeated_by_chance"] = load_of(chosen[:, 0], p.shape[1]).square().sum().item()
        found.append(of_layer)
    return found


def load_of(chosen: Tensor, experts: int) -> Tensor:
    """The share of all choices that each expert has: (E,)."""
    return torch.bincount(chosen.flatten(), minlength=experts) / chosen.numel()


def in_use(load: Tensor) -> int:
    """Experts with more than a tenth of a fair share of the choices."""
    return int((load > 0.1 / len(load)).sum())


def information(decided: list[tuple[Tensor, Tensor]]) -> list[dict[str, float]]:
    """Nats that the first choice of each layer shares with what is known of a character; and the choice's entropy."""
    known, found = features(), []
    for _, chosen in decided:
        first = chosen[:, 0]
        of_layer = {"choice": shared(first, first)} | {name: shared(first, values) for name, values in known.items()}
        pair = known["character"] * 77 + known["previous"]
        chance = shared(shuffled_within(first, known["character"]), pair)  # what so many cells share by chance, too
        of_layer["previous, given the character"] = shared(first, pair) - chance
        found.append(of_layer)
    return found


def shuffled_within(values: Tensor, groups: Tensor) -> Tensor:
    """The values of each group in another order."""
    noise = torch.rand(len(values), generator=torch.Generator().manual_seed(0)).double()
    order, another = groups.argsort(stable=True), (groups + noise).argsort()
    return torch.empty_like(values).scatter_(0, order, values[another])


def shared(a: Tensor, b: Tensor) -> float:
    """Mutual information of two columns of whole numbers, in nats, as their counts have it."""
    joint = torch.zeros(int(a.max()) + 1, int(b.max()) + 1, dtype=torch.double)
    joint.index_put_((a, b), torch.ones(len(a), dtype=torch.double), accumulate=True)
    joint /= len(a)
    independent = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    there = joint > 0
    return (joint[there] * (joint[there] / independent[there]).log()).sum().item()


@cache
def features() -> dict[str, Tensor]:
    """What is known of each character of the test: whole numbers (N,), in the order of `decisions`."""
    text, x = austen(), pieces()["test_x"]
    n = x.numel()
    characters = text.spell(text.test[:n])
    end = characters.index("the means of uniting them.")  # the last words of the first novel
    in_word, speech, inside, place = [], [], False, 0
    for i, character in enumerate(characters):
        place = min(place + 1, 12) if character.isalpha() else 0
        inside = inside != (character == '"') and characters[i - 1 : i + 1] != "\n\n"  # a paragraph ends a speech
        in_word.append(place)
        speech.append(inside)
    window, position = x.shape
    return {
        "character": x.flatten(),
        "previous": text.test[:n].roll(1),
        "next": pieces()["test_y"].flatten(),
        "place in word": torch.tensor(in_word),
        "place in window": torch.arange(position).repeat(window),
        "speech": torch.tensor(speech).long(),
        "novel": (torch.arange(n) > end).long(),
    }


# How it came about


def over_training(seen: list[list[Tensor]], keep_load: bool) -> dict:
    """Between the steps of EDGES, for each layer: experts in use, share of dropped tokens, and, if asked, the load."""
    found: dict[str, list] = {"in_use_by_step": [], "dropped_by_step": []} | ({"load_by_step": []} if keep_load else {})
    for log in seen:
        steps = torch.stack(log).double()  # (steps, 2, E)
        parts = [steps[a:b].sum(dim=0) for a, b in pairwise([*EDGES, len(steps)])]
        loads = [load / load.sum() for load, _ in parts]
        found["in_use_by_step"].append([in_use(load) for load in loads])
        found["dropped_by_step"].append(rounded(torch.stack([dropped.sum() / load.sum() for load, dropped in parts])))
        if keep_load:
            found["load_by_step"].append([rounded(load) for load in loads])
    return found


def rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


EXPERIMENT = Experiment(
    name="router",
    what="a transformer with mixtures as feed-forward layers, on two novels; loss on their held-out ends",
    unit="nats per character; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
