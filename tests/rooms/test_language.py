"""The router in a language model: the layer is a loop over plain modules, the terms are what their papers say."""

import lzma
import math

import pytest
import torch
from torch import nn

from moe_lib import ImportanceCV2, SwitchBalance, fit
from moe_lib.language import LanguageModel, RoutedLayer, Text, ZLoss, austen, windows
from moe_lib.language import text as text_module

WIDTH, HIDDEN, EXPERTS, TOKENS = 6, 10, 5, 23


def layer(seed=0, **settings):
    torch.manual_seed(seed)
    made = RoutedLayer(WIDTH, HIDDEN, EXPERTS, **settings)
    for part in made.experts[::2]:
        nn.init.normal_(part.bias)
    return made


class Loop(nn.Module):
    """The same layer as a list of plain modules, and a loop over tokens that asks each of its experts."""

    def __init__(self, of):
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WIDTH)) for _ in range(EXPERTS)
        )
        self.of = of
        for plain, batched in self.pairs():
            plain.data.copy_(batched)

    def pairs(self):
        """Each weight here, and the same of the layer."""
        of = self.of
        yield self.router.weight, of.manager.layers[0].weight[0].T
        yield self.router.bias, of.manager.layers[0].bias[0, 0]
        for e, expert in enumerate(self.experts):
            for i in (0, 2):
                yield expert[i].weight, of.experts[i].weight[e].T
                yield expert[i].bias, of.experts[i].bias[e, 0]

    def gradients(self):
        """Each weight's gradient here, and the same of the layer."""
        of = self.of
        yield self.router.weight.grad, of.manager.layers[0].weight.grad[0].T
        yield self.router.bias.grad, of.manager.layers[0].bias.grad[0, 0]
        for e, expert in enumerate(self.experts):
            for i in (0, 2):
                zero = torch.zeros_like(of.experts[i].weight.grad[e].T)
                yield zero if expert[i].weight.grad is None else expert[i].weight.grad, of.experts[i].weight.grad[e].T
                zero = torch.zeros_like(of.experts[i].bias.grad[e, 0])
                yield zero if expert[i].bias.grad is None else expert[i].bias.grad, of.experts[i].bias.grad[e, 0]

    def forward(self, x, places=math.inf):
        rows, taken = [], [0] * EXPERTS
        for token in x:
            p = self.router(token).softmax(0)
            best = sorted(range(EXPERTS), key=lambda e: -(p[e] + self.of.bias[e]).item())[: self.of.top_k]
            scale = sum(p[e] for e in best) if self.of.top_k > 1 else 1.0
            row = torch.zeros(WIDTH)
            for e in best:
                taken[e] += 1
                if taken[e] <= places:
                    row = row + p[e] / scale * self.experts[e](token)
            rows.append(row)
        return torch.stack(rows), taken


@pytest.mark.parametrize("top_k", [1, 2, 3, EXPERTS])
@pytest.mark.parametrize("capacity", [None, 0.5, 1.0])
@pytest.mark.parametrize("idle", [None, 2])
def test_the_layer_is_a_loop_over_plain_modules(top_k, capacity, idle):
    one = layer(top_k=top_k, capacity=capacity)
    if idle is not None and top_k < EXPERTS:
        one.manager.layers[0].bias.data[0, 0, idle] = -40.0
    loop = Loop(one)
    places = math.inf if capacity is None else math.ceil(capacity * top_k * TOKENS / EXPERTS)
    x = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    (out, routing), (expected, taken) = one(ours), loop(theirs, places)
    torch.testing.assert_close(out, expected)
    assert routing.load.tolist() == taken
    assert routing.dropped.sum(0).tolist() == [max(0, n - places) if capacity else 0 for n in taken]
    if capacity == 0.5:
        assert routing.dropped.any(), "the case that is meant"
    if idle is not None and top_k < EXPERTS:
        assert taken[idle] == 0, "the case that is meant"

    weights = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(2))
    for value in (out, expected):
        (weights * value).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for plain, batched in loop.gradients():
        torch.testing.assert_close(batched, plain)


def test_the_manager_of_a_top_1_layer_learns():
    one = layer(top_k=1)
    one(torch.randn(TOKENS, WIDTH))[0].sum().backward()
    assert one.manager.layers[0].weight.grad.abs().max() > 1e-3


def test_one_expert_is_a_dense_layer():
    torch.manual_seed(0)
    one, x = RoutedLayer(WIDTH, HIDDEN, num_experts=1), torch.randn(TOKENS, WIDTH)
    torch.testing.assert_close(one(x)[0], one.experts(x)[0])


def test_identical_experts_are_one_expert_with_top_2_and_permuting_them_changes_nothing():
    two, x = layer(top_k=2), torch.randn(TOKENS, WIDTH)
    for part in two.experts[::2]:
        part.weight.data[:], part.bias.data[:] = part.weight[0].clone(), part.bias[0].clone()
    torch.testing.assert_close(two(x)[0], two.experts(x)[0])

    mixed, order = layer(top_k=2), torch.tensor([3, 1, 4, 0, 2])
    before = mixed(x)[0]
    for part in mixed.experts[::2]:
        part.weight.data, part.bias.data = part.weight[order].clone(), part.bias[order].clone()
    router = mixed.manager.layers[0]
    router.weight.data, router.bias.data = router.weight[..., order].clone(), router.bias[..., order].clone()
    torch.testing.assert_close(mixed(x)[0], before)


def test_the_first_tokens_of_a_batch_are_those_that_an_expert_takes():
    one = layer(top_k=1, capacity=1.0)
    one.manager.layers[0].bias.data[0, 0, 3] = 40.0
    out, routing = one(torch.randn(10, WIDTH))
    assert routing.dropped.nonzero().tolist() == [[row, 3] for row in range(2, 10)]
    assert (out[2:] == 0).all() and (out[:2] != 0).all()


def test_the_bias_chooses_and_does_not_weigh():
    one, x = layer(top_k=1), torch.randn(TOKENS, WIDTH)
    one.bias[4] = 2.0
    out, routing = one(x)
    assert (routing.chosen == 4).all()
    torch.testing.assert_close(out, routing.p[:, 4:] * one.experts(x)[4])


def test_the_bias_moves_by_its_rate_towards_an_even_load_and_only_in_training():
    one, x = layer(top_k=2, bias_rate=0.25), torch.randn(TOKENS, WIDTH)
    load, mean = one.eval()(x)[1].load.tolist(), 2 * TOKENS / EXPERTS
    assert one.bias.tolist() == [0.0] * EXPERTS
    assert one.train()(x)[1].load.tolist() == load
    assert one.bias.tolist() == [0.25 if n < mean else -0.25 for n in load]
    for _ in range(400):
        one.bias_rate = 0.01
        load = one(x)[1].load
    assert (load.float() - mean).abs().max() <= 3, "nothing but the bias has moved"


def test_a_removed_expert_is_never_chosen():
    one = layer(top_k=2)
    one.bias[1] = -math.inf
    assert one(torch.randn(TOKENS, WIDTH))[1].load[1] == 0


def test_the_z_loss_is_known_for_a_few_logits():
    assert ZLoss(1.0)(torch.zeros(4, 8)).item() == pytest.approx(math.log(8) ** 2, rel=1e-6)
    logits = torch.log(torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 2.0]]))
    by_hand = 0.5 * (math.log(6) ** 2 + math.log(4) ** 2) / 2
    assert ZLoss(0.5)(logits).item() == pytest.approx(by_hand, rel=1e-6)
    shifted = logits.softmax(1).log()  # the same gate, of logits whose exponentials add up to one
    assert ZLoss(1.0)(shifted).item() == pytest.approx(0, abs=1e-10)


def test_the_other_terms_are_known_for_a_gate_of_three():
    p = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [0.5, 0.0, 0.5]])
    # importance 2, 1, 1: its mean is 4/3 and its variance 2/9; the first expert is the most probable of 3 in 4
    assert ImportanceCV2(1.0)(p).item() == pytest.approx((2 / 9) / (16 / 9), rel=1e-6)
    assert SwitchBalance(1.0)(p).item() == pytest.approx(3 * (3 / 4 * 1 / 2 + 1 / 4 * 1 / 4), rel=1e-6)


def model(**settings):
    torch.manual_seed(0)
    usual = {"width": 8, "heads": 2, "context": 12, "hidden": 6, "num_experts": 4}
    return LanguageModel(9, **usual | settings)


def test_no_character_sees_those_that_come_after_it():
    reader, x = model(top_k=2).eval(), torch.randint(9, (3, 12), generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, 7:] = (x[:, 7:] + 1) % 9
    (before, _), (after, _) = reader.read(x), reader.read(other)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert (before[:, 7:] - after[:, 7:]).abs().max() > 1e-3


def test_the_loss_is_that_of_a_plain_transformer_of_pytorch():
    """One expert, in every layer, against `nn.TransformerEncoderLayer` with the same weights."""
    reader = model(num_experts=1, depth=1).eval()
    plain = nn.TransformerEncoderLayer(8, 2, 6, dropout=0.0, batch_first=True, norm_first=True).eval()
    block = reader.blocks[0]
    first, _, second = block.layer.experts
    weights = {
        "self_attn.in_proj_weight": block.query_key_value.weight, "self_attn.in_proj_bias": block.query_key_value.bias,
        "self_attn.out_proj.weight": block.out.weight, "self_attn.out_proj.bias": block.out.bias,
        "linear1.weight": first.weight[0].T, "linear1.bias": first.bias[0, 0],
        "linear2.weight": second.weight[0].T, "linear2.bias": second.bias[0, 0],
        "norm1.weight": block.norm.weight, "norm1.bias": block.norm.bias,
        "norm2.weight": block.norm_layer.weight, "norm2.bias": block.norm_layer.bias,
    }  # fmt: skip
    plain.load_state_dict(weights)
    x, y = torch.randint(9, (2, 3, 12), generator=torch.Generator().manual_seed(0))
    mask = nn.Transformer.generate_square_subsequent_mask(12)
    h = plain(reader.embedding(x) + reader.position, src_mask=mask, is_causal=True)
    log_p = reader.head(reader.norm(h)).log_softmax(-1)
    expected = -log_p.gather(2, y.unsqueeze(2)).mean()
    torch.testing.assert_close(reader(x, y).expected, expected)


def test_a_step_to_the_next_place_is_the_same_rotation_everywhere():
    sine, cosine = model(width=8, context=50).position.unflatten(1, (4, 2)).double().unbind(2)  # (50, 4) each
    turned = torch.complex(cosine, sine)
    assert turned[0].tolist() == [1] * 4
    torch.testing.assert_close(turned[:-1] * turned[1], turned[1:], atol=1e-5, rtol=0)
    assert sine[7, 1].item() == pytest.approx(math.sin(7 / 10_000**0.25), abs=1e-6)


def test_both_terms_are_added_over_the_layers():
    reader = model(depth=3, balance=ImportanceCV2(0.5), z_loss=ZLoss(0.25))
    x = torch.randint(9, (2, 12))
    decided = reader.read(x)[1]
    by_hand = sum(ImportanceCV2(0.5)(one.p) + ZLoss(0.25)(one.logits) for one in decided)
    torch.testing.assert_close(reader(x, x).balancing, by_hand)
    assert model()(x, x).balancing == 0


def test_it_learns_a_text_that_repeats():
    codes = torch.arange(9).repeat(60)
    x, y = windows(codes, 12)
    reader = model(top_k=2, balance=SwitchBalance(0.01))
    history = fit(reader, x, y, epochs=15, batch_size=5, lr=0.01, seed=0, device="cpu", progress=False)
    assert history.expected[0] > 1 and history.expected[-1] < 0.1
    assert (reader.read(x)[0].argmax(-1) == y).float().mean() > 0.99


def test_the_text_is_two_novels_and_their_ends_are_held_out():
    text = austen()
    assert isinstance(text, Text) and len(text.train) + len(text.test) == 1_151_353 and len(text.alphabet) == 77
    assert text.spell(text.train[:19]) == "PRIDE AND PREJUDICE"
    assert "a single man in possession\nof a good fortune" in text.spell(text.train[:300])
    assert text.spell(text.test).endswith("\nFinis\n"), "of the second"
    assert len(text.test) == pytest.approx(0.1 * 1_151_353, abs=2)


def test_windows_follow_one_another():
    x, y = windows(torch.arange(11), 3)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and (y == x + 1).all()
    for length in (0, 11):
        with pytest.raises(ValueError, match="windows of a text of 11 have 1 to 10"):
            windows(torch.arange(11), length)


def test_a_damaged_archive_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "assets").mkdir()
    file = tmp_path / "assets" / "austen.txt.xz"
    monkeypatch.setattr(text_module, "files", lambda _: tmp_path)
    for content in (b"no archive", lzma.compress(b"one novel"), lzma.compress("Austen’s".encode())):
        file.write_bytes(content)
        with pytest.raises(RuntimeError, match="is damaged"):
            austen()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 5}, "choose 1 to 4"),
        ({"capacity": 0}, "capacity is 0"),
        ({"capacity": math.inf}, "positive factor"),
        ({"bias_rate": -1}, "bias_rate is -1"),
        ({"hidden": 0}, "hidden is 0"),
        ({"num_experts": 0}, "num_experts is 0"),
        ({"width": 7}, "multiple of the 2 heads"),
        ({"width": 9, "heads": 3}, "must be even"),
        ({"depth": 0}, "depth is 0"),
    ],
)
def test_a_wrong_setting_is_an_error(wrong, message):
    with pytest.raises(ValueError, match=message):
        model(**wrong)


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf])
def test_a_wrong_weight_of_the_z_loss_is_an_error(weight):
    with pytest.raises(ValueError, match="weight"):
        ZLoss(weight)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (torch.rand(2, 12), None, TypeError, "int64"),
        ([[1, 2]], None, TypeError, "int64"),
        (torch.zeros(12, dtype=torch.int64), None, ValueError, "expected"),
        (torch.zeros(2, 13, dtype=torch.int64), None, ValueError, "T at most 12"),
        (torch.full((2, 12), 9), None, ValueError, "from 0 to 8"),
        (torch.full((2, 12), -1), None, ValueError, "from 0 to 8"),
        (torch.zeros(2, 12, dtype=torch.int64), torch.zeros(3, 12, dtype=torch.int64), ValueError, "y has shape"),
        (torch.zeros(0, 12, dtype=torch.int64), None, ValueError, "at least one"),
    ],
)
def test_wrong_text_is_an_error(x, y, error, message):
    with pytest.raises(error, match=message):
        model().check(x, y)


def test_wrong_text_is_an_error_before_anything_is_trained():
    with pytest.raises(TypeError, match="int64"):
        fit(model(), torch.rand(4, 12), torch.rand(4, 12), epochs=1, batch_size=2, lr=0.1, seed=0, progress=False)
