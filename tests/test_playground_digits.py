"""The digits' playground: the model in the page against the library's, and the page as a reader works it.

What the page's text promises of its experiments is held true here as well.
"""

import gzip
import math
import re
from itertools import pairwise
from pathlib import Path

import browser
import drawings
import make_playground_weights as small
import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from scipy import ndimage
from test_playground import contrast
from visits import AXE, DESKTOP, HTML, PHONE, QUICK, Visit, recorded_page

from moe_lib import MixtureOfExperts, match_experts, mnist
from moe_lib.ladder import load_pretrained
from moe_lib.teaching import figures

BOOK = Path(__file__).resolve().parent.parent / "book"
PAGE = HTML / "playground_digits.html"
SCRIPTS = [small.FOLDER.parent / "model.js", *small.FOLDER.glob("*.js"), small.FOLDER.parent / "ink.js"]

pytestmark = pytest.mark.browser


# --- The model, smaller ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rounded() -> tuple[MixtureOfExperts, torch.Tensor, dict]:
    """The page's model, its images and the rest of its file."""
    return small.read()


@torch.no_grad()
def test_the_rounded_model_is_as_good_as_the_one_that_it_was_made_of(rounded):
    (model, _, rest), original, (train, test) = rounded, load_pretrained(), mnist()
    p, p0 = model.gate(test.images), original.gate(test.images)
    assert torch.equal(p.argmax(dim=1), p0.argmax(dim=1))  # "every one of them to the expert of the model itself"
    names = match_experts(model.assign(train.images[::6]), train.labels[::6], 10)
    accuracy = 100 * (names[p.argmax(dim=1)] == test.labels).float().mean().item()
    assert rest["facts"]["accuracy"] == pytest.approx(accuracy, abs=0.005)
    off = (p - p0).abs().amax(dim=1)
    assert off.max() < 0.01 and (off < 1e-3).float().mean() > 0.99
    images = test.images[:200]
    off = (model.experts.reconstruct(images) - original.experts.reconstruct(images)).abs()
    assert off.max() < 0.01 and off.mean() < 2e-4 and (off < 1e-3).float().mean() > 0.98


@torch.no_grad()
def test_folding_and_packing_lose_nothing():
    model, (_, test) = load_pretrained(), mnist()
    arrays = small.arrays_of(model)
    torch.testing.assert_close(
        small.model_of(arrays).gate(test.images[:200]), model.gate(test.images[:200]), atol=1e-5, rtol=0
    )
    whole = torch.tensor([[-2048, 2047], [63, -64]]) // 2
    for factor, digits in ((1, 2), (60, 3)):
        packed = small.packed(factor * whole, 0.25)
        assert len(packed["planes"]) == digits
        assert torch.equal(small.unpacked(packed), factor * whole * 0.25)


def test_rounding_with_feedback_errs_less():
    torch.manual_seed(0)
    inputs = torch.randn(500, 10) @ torch.randn(10, 60) + 0.1 * torch.randn(500, 60)  # as alike as pixels are
    weight = torch.randn(60, 8)
    off = lambda whole: (inputs @ (0.1 * whole.float() - weight)).square().mean()  # noqa: E731
    assert off(small.rounded(weight, 0.1, inputs)) < off((weight / 0.1).round()) / 4


@torch.no_grad()
def test_the_file_holds_what_it_says_and_no_label(rounded):
    model, images, rest = rounded
    _, test = mnist()
    assert set(rest) == {"doubtful", "deviation", "costs", "limit", "facts"}
    chosen = small.choose(model, test.images)
    assert torch.equal(images, test.images[chosen].mul(255).round().double().mul(1 / 255).float())
    assert len(chosen.unique()) == len(chosen) == 72
    least = model.gate(images).amax(dim=1)
    assert least[-rest["doubtful"] :].max() < 0.7 < least[: -rest["doubtful"]].median()
    own = small.costs(model, test.images[::5])
    assert rest["costs"] == sorted(rest["costs"]) and len(rest["costs"]) == 101
    for percent, off in ((10, 1.0), (50, 1.0), (90, 2.0)):
        assert rest["costs"][percent] == pytest.approx(own.quantile(percent / 100).item(), abs=off)


@torch.no_grad()
def test_the_limit_is_that_of_training_images(rounded):
    model, _, rest = rounded
    train, test = mnist()
    some = train.images[:100]
    parts, asked = small.losses_at_mean(load_pretrained(), some), load_pretrained().gate(some).argmax(dim=1)
    own = [float(parts[0][i, expert] + parts[1][i, expert]) for i, expert in enumerate(asked)]
    torch.testing.assert_close(small.costs(model, some), torch.tensor(own), atol=0.5, rtol=0)  # of the library's model
    beyond = lambda images: 100 * (small.costs(model, images) > rest["limit"]).float().mean().item()  # noqa: E731
    assert rest["facts"]["refusedSeen"] == pytest.approx(100 * small.REFUSED, abs=0.02)
    assert beyond(train.images[::6]) == pytest.approx(rest["facts"]["refusedSeen"], abs=0.5)
    assert beyond(test.images) == pytest.approx(rest["facts"]["refusedUnseen"], abs=0.02)


def test_both_playgrounds_together_are_light():
    files = [HTML / f"{name}.html" for name in ("playground", "playground_digits")]
    files += [path for name in ("playground", "playground_digits") for path in (HTML / name).rglob("*.*")]
    compressed = lambda paths: sum(len(gzip.compress(path.read_bytes())) for path in paths)  # noqa: E731
    assert round(compressed(small.FOLDER.glob("*.js")) / 1e6) == 3  # as the text says
    assert compressed(files) < 3_000_000


# --- The same in JavaScript -----------------------------------------------------------------------------------------


JUDGE = """function judge(image) {
  const managed = digits.manage(image);
  const experts = Array.from({length: 10}, (_, expert) => digits.examine(image, expert));
  return digits.judge(managed, experts);
}"""


@pytest.fixture(scope="module")
def arithmetic(chromium):
    """An empty page that knows the model and the ink."""
    page = chromium.new_page()
    for path in SCRIPTS:
        page.add_script_tag(path=path)
    page.add_script_tag(content=JUDGE)
    yield page
    page.close()


@torch.no_grad()
def test_the_page_computes_what_pytorch_does(arithmetic, rounded):
    model, images, rest = rounded
    found = arithmetic.evaluate(
        """() => digits.images.map((image) => ({
          image: [...image], p: digits.gate(image), judged: judge(image),
          experts: Array.from({length: 10}, (_, expert) => {
            const {mean, drawing, reconstruction, kl, loss} = digits.examine(image, expert);
            return {mean: [...mean], drawing: [...drawing], losses: [reconstruction, kl, loss]};
          }),
        }))"""
    )
    assert len(found) == len(images) >= 50

    def each(key: str) -> torch.Tensor:
        return torch.tensor([[expert[key] for expert in one["experts"]] for one in found])  # (B, E, ...)

    assert torch.equal(torch.tensor([one["image"] for one in found]), images)
    close = {"atol": 1e-5, "rtol": 0.0}
    torch.testing.assert_close(torch.tensor([one["p"] for one in found]), model.gate(images), **close)
    torch.testing.assert_close(each("drawing"), model.experts.reconstruct(images), **close)
    torch.testing.assert_close(each("mean"), model.experts.encode(images)[0].transpose(0, 1), atol=1e-4, rtol=0.0)
    parts = small.losses_at_mean(model, images)
    torch.testing.assert_close(each("losses"), torch.stack([*parts, sum(parts)], dim=2), atol=1e-3, rtol=0.0)
    known = (small.costs(model, images) <= rest["limit"]).tolist()
    asked, least = model.assign(images).tolist(), sum(parts).argmin(dim=1).tolist()
    answers = [
        dict(zip(("asked", "least", "known"), one, strict=True)) for one in zip(asked, least, known, strict=True)
    ]
    assert [one["judged"] for one in found] == answers
    assert {True, False} == set(known)


@torch.no_grad()
def test_the_page_draws_what_pytorch_does(arithmetic, rounded):
    z = torch.randn(20, 10, generator=torch.Generator().manual_seed(1))
    draw = "zs => Array.from({length: 10}, (_, expert) => zs.map((z) => [...digits.decode(z, expert)]))"
    torch.testing.assert_close(
        torch.tensor(arithmetic.evaluate(draw, z.tolist())), rounded[0].experts.decode(z), atol=1e-5, rtol=0
    )


def test_how_dear_an_image_is_among_a_hundred(arithmetic, rounded):
    costs = torch.tensor(rounded[2]["costs"])
    asked = [costs[0] - 1, (costs[0] + costs[1]) / 2, (costs[29] + costs[30]) / 2, costs[-1] + 1]
    assert arithmetic.evaluate("losses => losses.map(digits.cheaper)", [float(cost) for cost in asked]) == [
        0,
        0,
        29,
        100,
    ]


# --- Ink ------------------------------------------------------------------------------------------------------------


def test_an_image_of_mnist_is_prepared_already(arithmetic):
    images = mnist()[1].images[:300]
    again = arithmetic.evaluate("images => images.map((image) => [...ink.image(ink.enlarged(image))])", images.tolist())
    torch.testing.assert_close(torch.tensor(again), images, atol=1e-6, rtol=0.0)


WRITE = """([strokes, fit]) => {
  const sheet = ink.drawn(strokes);
  return {sheet: [...sheet], image: [...ink.image(sheet, fit)], turned: [...ink.turned(sheet)]};
}"""


def means(low: float, high: float, size: int) -> torch.Tensor:
    """(size, 140): each row the mean of one of `size` equal shares of [low, high)."""
    edges = torch.linspace(low, high, size + 1, dtype=torch.float64)
    cells = torch.arange(140, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return overlap.clamp(min=0) * size / (high - low)


@pytest.mark.parametrize("seed", range(4))
def test_drawings_are_prepared_as_mnist_was(arithmetic, seed):
    torch.manual_seed(seed)
    corner, size = 20 + 40 * torch.rand(2), 5 + 60 * torch.rand(2)
    stroke = (corner + size * torch.rand(7, 2)).tolist()
    found = arithmetic.evaluate(WRITE, [[stroke], True])
    sheet, image = torch.tensor(found["sheet"]).reshape(140, 140), torch.tensor(found["image"]).reshape(28, 28)

    points, at = torch.tensor(stroke), torch.stack(torch.meshgrid(*[torch.arange(140.0)] * 2, indexing="xy"), dim=-1)
    distance = torch.full((140, 140), torch.inf)
    for a, b in pairwise(points):  # to a hundred points of each line: another way to say it
        for t in torch.linspace(0, 1, 100):
            distance = torch.minimum(distance, (at - a - t * (b - a)).norm(dim=-1))
    size = (points.amax(dim=0) - points.amin(dim=0)).max().item()
    pen = max(1, 2.5 / 20 * size / (1 - 2.5 / 20) / 2)  # its stroke takes an eighth of the box's longer side
    torch.testing.assert_close(sheet, (pen + 0.5 - distance).clamp(0, 1), atol=0.02, rtol=0)

    (top, bottom), (left, right) = [sheet.any(dim=d).nonzero().flatten()[[0, -1]].tolist() for d in (1, 0)]
    height, width = bottom + 1 - top, right + 1 - left
    scale = 20 / max(height, width)
    rows, columns = means(top, bottom + 1, round(scale * height)), means(left, right + 1, round(scale * width))
    pixels = (rows @ sheet.double() @ columns.T).float()  # (H, W), the longer side 20
    assert max(pixels.shape) == 20
    place = image.nonzero().amin(dim=0) - pixels.nonzero().amin(dim=0)
    torch.testing.assert_close(
        image[place[0] :, place[1] :][: len(pixels), : len(pixels[0])], pixels, atol=1e-5, rtol=0
    )
    assert image.sum() == pytest.approx(pixels.sum().item(), rel=1e-5)
    for sums in (image.sum(dim=1), image.sum(dim=0)):
        assert (sums @ torch.arange(28.0) / sums.sum()).item() == pytest.approx(14, abs=0.501)

    moved = arithmetic.evaluate(WRITE, [[[[x - 7, y + 5] for x, y in stroke]], True])
    torch.testing.assert_close(torch.tensor(moved["image"]), image.flatten(), atol=1e-5, rtol=0)
    assert found["turned"] == found["sheet"][::-1]
    plain = torch.tensor(arithmetic.evaluate(WRITE, [[stroke], False])["image"])
    torch.testing.assert_close(plain, sheet.unflatten(0, (28, 5)).unflatten(2, (28, 5)).mean(dim=(1, 3)).flatten())


def widths(images: torch.Tensor) -> np.ndarray:
    """Of the strokes of each image, in pixels: twice the median distance of their ridges from the paper."""
    found = []
    for image in images.reshape(-1, 28, 28).numpy():
        inside = ndimage.distance_transform_edt(ndimage.zoom(image, 8, order=1) > 0.5)
        found.append(np.median(inside[(inside == ndimage.maximum_filter(inside, 5)) & (inside > 2)]) / 4)
    return np.array(found)


def test_strokes_are_as_wide_as_those_of_mnist_however_large_one_draws(arithmetic):
    usual = np.median(widths(mnist()[0].images[:300]))
    for digit, drawing in drawings.PLAIN.items():
        for size, off in ((14, 1.2), (28, 0.8), (90, 0.6)):
            strokes = drawings.strokes(drawings.placed(drawings.curves(drawing), size, 10, 20))
            image = torch.tensor(arithmetic.evaluate(WRITE, [strokes, True])["image"])
            assert widths(image)[0] == pytest.approx(usual, abs=off), (digit, size)


def test_sixty_drawings_and_twenty_things_that_are_no_digits(arithmetic, rounded):
    """The limit comes from training images. This table only counts; neither limit nor pen may be tuned on it."""
    some = mnist()[0]
    names = match_experts(rounded[0].assign(some.images[::6]), some.labels[::6], 10).tolist()
    look = "strokes => { const image = ink.image(ink.drawn(strokes)); return image && judge(image); }"
    judged = {key: arithmetic.evaluate(look, strokes) for key, strokes in drawings.digits().items()}
    wrong = [key for key, one in judged.items() if not one["known"] or names[one["asked"]] != key[1]]
    assert len(judged) == 60 and not wrong
    passed = [
        name
        for name, strokes in drawings.strangers().items()
        if (arithmetic.evaluate(look, strokes) or {}).get("known")
    ]
    assert len(drawings.STRANGERS) == 20 and passed == ["three dots", "dash"]


# --- The page -------------------------------------------------------------------------------------------------------


def words(place) -> str:
    """What a place says, in one line; blanks are alike."""
    return " ".join(place.text_content().split())


class Desk:
    """The page in a browser, and what a reader does there."""

    def __init__(self, page) -> None:
        self.page = page
        self.sheet = page.locator(".pgd-sheet")
        self.at_rest()

    def at_rest(self) -> None:
        """Waits until what is on the paper has been looked at."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.locator("#digits-draw[aria-busy=false]").wait_for()

    @property
    def table(self) -> list[list[str]]:
        """p, loss, and the marks of each expert."""
        read = "row => [...row.querySelectorAll('[data-cell]')].map((cell) => cell.textContent).concat(row.className)"
        return self.page.locator("#digits-draw tbody tr").evaluate_all(f"rows => rows.map({read})")

    def column(self, place: int) -> list[float]:
        return [float(row[place]) for row in self.table]

    @property
    def asked(self) -> int:
        return [row[-1].split().count("pgd-asked") for row in self.table].index(1)

    @property
    def p(self) -> float:
        return max(self.column(0))

    @property
    def said(self) -> str:
        return words(self.page.locator("#digits-draw .pg-status"))

    @property
    def known(self) -> bool:
        return "This looks like nothing I’ve seen." not in self.said

    @property
    def cheaper(self) -> int:
        """How many of 100 test images cost their expert less than this one."""
        return int(re.search(r"100 test images, (\d+|none)", self.said)[1].replace("none", "0"))

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()
        self.at_rest()

    def image(self, query: str) -> list[int]:
        """The pixels of a picture."""
        read = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
        return self.page.locator(query).first.evaluate(read)

    def draw(self, *points: tuple[float, float], steps: int = 6) -> None:
        """A stroke with the mouse, through points in parts of the paper."""
        box = self.sheet.bounding_box()
        self.page.mouse.move(*self._at(box, points[0]))
        self.page.mouse.down()
        for point in points:
            self.page.mouse.move(*self._at(box, point), steps=steps)
        self.page.mouse.up()
        self.at_rest()

    @staticmethod
    def _at(box: dict, point: tuple[float, float]) -> tuple[float, float]:
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]


@pytest.fixture
def desk(open_built):
    """Opens the page; it jumps to where it would roll, so that the mouse knows where the paper is."""

    def open(anchor: str = "", **settings) -> Desk:
        page = open_built(PAGE, **({"reduced_motion": "reduce"} | settings))
        if anchor:
            page.goto(f"{PAGE.as_uri()}#{anchor}")
            page.reload()
        return Desk(page)

    return open


LETTERS = "ABCDEFGHIJ"
SEVEN = [(0.3, 0.28), (0.7, 0.26), (0.6, 0.5), (0.47, 0.77)]


def test_drawing_with_the_mouse(desk):
    page = desk()
    first = page.table
    page.sheet.scroll_into_view_if_needed()
    page.draw(*SEVEN)
    assert page.table != first
    seven = page.asked
    assert sum(page.column(0)) == pytest.approx(1, abs=0.005)
    assert f"expert {LETTERS[seven]}, with p = {page.p:.3f}" in page.said and page.known
    assert page.p > 0.99 and page.column(1).index(min(page.column(1))) == seven
    assert [row[-1] for row in page.table].count(f"pg-e{seven} pgd-asked pgd-least") == 1
    page.draw((0.4, 0.53), (0.68, 0.5))  # a bar
    assert page.asked == seven
    page.press("Clear")
    assert {cell for row in page.table for cell in row[:2]} == {"–"} and "empty" in page.said
    assert set(page.image(".pgd-sheet")) == set(page.image(".pgd-input")) == {255}
    assert page.page.locator(".pgd-scale i:visible").count() == 0
    page.draw((0.5, 0.25), (0.5, 0.75))
    assert page.asked != seven


def test_examples_and_turning_over(desk):
    page = desk()
    seen = set()
    for _ in range(5):
        page.press("Example")
        seen.add(tuple(page.image(".pgd-input")))
    assert len(seen) == 5
    image = page.image(".pgd-sheet")
    page.press("Turn over")
    assert page.image(".pgd-sheet") == image[::-1]


def test_a_stroke_is_followed_while_it_is_drawn_and_nobody_talks_over_it(desk):
    page = desk()
    page.page.wait_for_timeout(1100)
    assert not any(page.page.locator(".pg > .pg-live").all_text_contents())  # nobody is greeted
    page.page.evaluate(
        """() => {
          window.seen = [];
          window.pauses = [];
          const look = (query, seen) =>
            new MutationObserver(seen).observe(document.querySelector(query), {childList: true});
          look("#digits-draw .pg-status", () => seen.push(performance.now()));
          look("#digits-draw > .pg-live", () => pauses.push(performance.now() - seen.at(-1)));
        }"""
    )
    page.sheet.scroll_into_view_if_needed()
    page.draw((0.5, 0.2), (0.3, 0.6), (0.7, 0.6), (0.6, 0.2), steps=30)
    assert page.page.evaluate("seen.length") > 2
    page.page.wait_for_function("pauses.length")
    assert min(page.page.evaluate("pauses")) > 800  # it is said when the hand rests


def test_drawing_by_keyboard(desk):
    page = desk()
    page.sheet.focus()
    page.page.keyboard.press("Delete")
    assert page.page.locator(".pgd-pen").is_visible()
    page.page.keyboard.press("Shift+ArrowUp")
    page.page.keyboard.press("Shift+ArrowUp")
    page.page.keyboard.press("Shift+ArrowUp")
    page.at_rest()
    assert page.table[0][0] == "–"  # the pen is up
    page.page.keyboard.press("Space")
    assert page.page.locator(".pgd-pen.pgd-down").is_visible()
    for _ in range(6):
        page.page.keyboard.press("Shift+ArrowDown")
    page.page.keyboard.press("Space")
    page.page.keyboard.press("ArrowLeft")
    page.at_rest()
    stroke, image = page.asked, page.image(".pgd-sheet")
    assert page.p > 0.99
    page.page.get_by_role("button", name="Clear", exact=True).press("Enter")
    page.at_rest()
    page.sheet.scroll_into_view_if_needed()
    page.draw((0.5, 0.24), (0.5, 0.76))  # the same with the mouse
    assert page.asked == stroke
    off = sum(abs(a - b) for a, b in zip(image, page.image(".pgd-sheet"), strict=True))
    assert off < 0.2 * sum(255 - a for a in image)
    names = page.page.locator("#digits-draw th[scope=row] button").all_text_contents()
    assert [" ".join(name.split()) for name in names] == [f"expert {letter}" for letter in LETTERS]


def test_a_phone_and_a_finger(desk):
    page = desk(viewport=PHONE, has_touch=True, is_mobile=True)
    paper, verdict = page.sheet.bounding_box(), page.page.locator("#digits-draw .pg-status").bounding_box()
    assert paper["y"] + paper["height"] < verdict["y"] + verdict["height"] < PHONE["height"]  # on the first screen
    page.press("Clear")
    page.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.sheet.scroll_into_view_if_needed()
    scrolled, box = page.page.evaluate("scrollY"), page.sheet.bounding_box()
    finger = page.page.context.new_cdp_session(page.page)
    spots = [Desk._at(box, (0.5, 0.25 + 0.05 * i)) for i in range(11)]
    for i, (x, y) in enumerate(spots):
        kind = "touchMove" if i else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.at_rest()
    assert page.page.evaluate("scrollY") == scrolled  # the finger drew, and did not scroll
    assert page.p > 0.99
    assert sum(255 - value for value in page.image(".pgd-sheet")) / 255 > 600
    for badge in page.page.locator(".pgd-badge:visible").all():  # a face beside every mention
        assert badge.locator("xpath=following-sibling::canvas").is_visible()


def test_pulling_strings(desk):
    page = desk()
    pull, large = page.page.locator("#digits-pull"), "#digits-pull .pgd-large"
    strings = pull.locator("input[type=range]")
    assert strings.count() == 10
    pull.locator("input[value='4']").check(force=True)
    page.at_rest()
    assert page.image(large) == page.image("#digits-pull [data-face='4']")  # z = 0
    changes = []
    for k in range(10):
        before = page.image(large)
        for _ in range(5):
            strings.nth(k).press("ArrowRight")
        page.at_rest()
        assert strings.nth(k).get_attribute("aria-valuetext") == "0.5"
        changes.append(max(abs(a - b) for a, b in zip(before, page.image(large), strict=True)))
    assert min(changes) > 5  # every string is tied to something
    page.press("Random z")
    drawn = page.image(large)
    page.press("Random z")
    assert page.image(large) != drawn
    page.press("z = 0")
    assert page.image(large) == page.image("#digits-pull [data-face='4']")
    for expert in (4, 7):
        pull.locator(f"input[value='{expert}']").check(force=True)
        page.press("Start from my drawing")
        assert page.image(large) == page.image(f"#digits-draw tbody tr.pg-e{expert} td canvas")
    pull.locator("input[value='7']").press("ArrowRight")  # radio buttons, by keyboard
    page.press("z = 0")
    assert page.image(large) == page.image("#digits-pull [data-face='8']")
    said = words(pull.locator(".pg-status"))
    assert "This was drawn by expert I. The manager asks expert I" in said
    page.press("Show the manager")
    assert f"expert {LETTERS[page.asked]}, with p = {page.p:.3f}" in said
    page.press("Clear")
    page.press("Start from my drawing")
    assert page.image(large) == page.image("#digits-pull [data-face='8']")  # there was none
    assert "There is no drawing: the paper is empty." in words(pull.locator(".pg-status"))


def test_each_expert_draws_for_the_manager(desk):
    """Whoever draws at z = 0 draws what the manager would send there; so the faces say who is who."""
    page = desk()
    gates = page.page.evaluate(
        "() => Array.from({length: 10}, (_, e) => digits.gate(digits.decode(new Float64Array(10), e)))"
    )
    assert [p.index(max(p)) for p in gates] == list(range(10))


def test_route_by_eye(desk):
    page = desk()
    game = page.page.locator("#digits-game")
    answer = """() => {
      const p = digits.gate(digits.images[document.querySelector("#digits-game .pgd-large").dataset.image]);
      return p.indexOf(Math.max(...p));
    }"""
    assert game.locator("[data-expert]:enabled").count() == 0
    picture, choices = (game.locator(query).bounding_box() for query in (".pgd-large", ".pgd-experts"))
    assert picture["x"] + picture["width"] < choices["x"] and choices["width"] > 300  # side by side
    game.get_by_role("button", name="Start").press("Enter")
    met = set()
    for n in range(12):  # as the manager does, by key or by button
        assert game.locator(".pgd-round").inner_text() == f"Image {n + 1} of 12"
        met.add(int(game.locator(".pgd-large").get_attribute("data-image")))
        expert = page.page.evaluate(answer)
        if n % 2:
            page.page.keyboard.press(LETTERS[expert].lower())
        else:
            game.locator(f"[data-expert='{expert}']").click()
    assert len(met) == 12 and sum(image >= 48 for image in met) == 4
    verdict = game.locator(".pgd-verdict")
    assert "You and the manager agree on 12 of 12." in verdict.inner_text()
    assert verdict.locator("li").count() == 0
    assert page.page.evaluate("document.activeElement.className") == "pgd-verdict"
    page.page.keyboard.press("c")  # the game is over
    game.get_by_role("button", name="Play again").click()
    apart = []
    for n in range(12):  # against the manager, five times
        expert = page.page.evaluate(answer)
        if n < 5:
            image = game.locator(".pgd-large").get_attribute("data-image")
            apart.append((int(image), (expert + 1) % 10, expert))
        game.locator(f"[data-expert='{(expert + (n < 5)) % 10}']").click()
    assert "You and the manager agree on 7 of 12." in verdict.inner_text()
    cases = verdict.locator("li")
    assert cases.count() == 5
    for n, (image, yours, managers) in enumerate(apart):
        assert cases.nth(n).locator(".pgd-badge").all_text_contents() == [LETTERS[yours], LETTERS[managers]]
        shown = page.page.evaluate("i => [...digits.images[i]].map((v) => Math.round(255 * (1 - v)))", image)
        drawn = (
            cases.nth(n)
            .locator(".pgd-case")
            .evaluate("c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)")
        )
        assert max(abs(a - b) for a, b in zip(shown, drawn, strict=True)) <= 1
    unsure = [max(page.page.evaluate("i => digits.gate(digits.images[i])", image)) < 0.9 for image, *_ in apart]
    told = re.search(r"In (\d+) of these cases the manager wasn’t sure", verdict.inner_text())
    assert (int(told[1]) if told else 0) == sum(unsure)
    assert "agree on 7 of 12" in game.locator("> .pg-live").text_content()


# --- What the text promises -----------------------------------------------------------------------------------------


def test_a_bar_is_forgiven_and_a_flag_is_not(desk):
    page = desk(anchor="bar-and-flag")
    page.draw(*SEVEN)
    sevens = page.asked
    page.press("A 7 with a bar")
    assert page.asked == sevens and page.p > 0.99 and page.known
    page.press("A 1 with a flag")
    assert page.asked == sevens and page.p > 0.99 and page.cheaper < 75
    page.press("The same without its flag")
    assert page.asked != sevens and page.p > 0.99 and page.cheaper < 50
    assert page.page.locator(".pgd-tried").count() == 3  # ticked off


def test_p_is_always_sure_and_the_losses_tell_of_a_letter_but_not_of_a_house(desk):
    page = desk(anchor="not-a-digit")
    page.press("A letter")
    limit = page.page.evaluate("digits.limit")
    assert page.p >= 0.99 and not page.known and min(page.column(1)) > limit  # wherever it's sent
    assert f"the loss is {page.column(1)[page.asked]:.1f} nats, and the limit is {limit}" in page.said
    page.press("A house")
    assert page.p >= 0.99 and page.known and page.cheaper < 90


def test_scribbles_and_dots_are_strangers(desk):
    page = desk()
    for points in ([(0.5, 0.5)], [(0.2, 0.3), (0.8, 0.2), (0.2, 0.5), (0.8, 0.45), (0.2, 0.7), (0.8, 0.8)]):
        page.press("Clear")
        page.draw(*points)
        assert not page.known
    page.press("Clear")
    page.draw(*SEVEN)
    assert page.known


def test_the_manager_was_shown_what_the_text_says():
    shown, text = load_pretrained().augmentation, (BOOK / "playground_digits.md").read_text(encoding="utf-8")
    pixels, percent = re.search(r"up to (\d+) pixels and resized by up to (\d+) %", text).groups()
    degrees, lean = re.search(r"turned by up to (\d+) degrees .* leaned by up to (\d+) degrees", text).groups()
    assert int(pixels) == round(28 * shown.shift) and int(percent) == round(100 * shown.scale)
    assert int(degrees) == round(math.degrees(shown.rotation))
    stroke = torch.zeros(1, 28, 28)
    stroke[:, 7:21, 13:15] = 1
    leans = []
    for turn, shear in ((1.0, -1.0), (-1.0, 1.0)):
        numbers = torch.zeros(1, shown.strengths)
        numbers[0, 0], numbers[0, 2] = turn, shear
        rows, columns = torch.meshgrid(*[torch.arange(28.0) - 13.5] * 2, indexing="ij")
        moved = shown.move(stroke.flatten(1), numbers).view(28, 28)
        leans.append(abs(math.degrees(math.atan((moved * rows * columns).sum() / (moved * rows**2).sum()))))
    assert max(leans) == pytest.approx(int(lean), abs=1)


def test_a_small_three_needs_the_preparation(desk):
    page = desk(anchor="in-a-corner")
    page.press("A small 3")
    threes = page.asked
    assert page.p > 0.99 and page.known
    page.page.get_by_role("button", name="Clear", exact=True).click()
    page.draw((0.33, 0.31), (0.41, 0.24), (0.56, 0.24), (0.63, 0.33), (0.57, 0.44), (0.44, 0.49), (0.59, 0.53),
              (0.66, 0.63), (0.59, 0.74), (0.43, 0.77), (0.31, 0.7))  # fmt: skip
    assert page.asked == threes
    page.press("The same, as it is")
    assert not page.page.get_by_role("checkbox").first.is_checked()
    elsewhere = page.asked
    assert elsewhere != threes and page.known
    page.page.get_by_role("checkbox").first.check()
    page.at_rest()
    assert page.asked == threes
    page.press("Clear")
    page.draw((0.5, 0.2), (0.5, 0.8))
    assert page.asked == elsewhere  # that of the ones


def test_half_a_turn(desk):
    page = desk(anchor="upside-down")
    asked, p = {}, {}
    for name in ("A 6", "An 8", "A 4"):
        page.press(name)
        asked[name], upright = page.asked, page.p
        assert upright > 0.99
        page.press("Turn over")
        asked[name, "turned"], p[name] = page.asked, page.p
    page.page.get_by_role("button", name="Clear", exact=True).click()
    page.draw((0.61, 0.34), (0.5, 0.24), (0.39, 0.31), (0.39, 0.44), (0.5, 0.5), (0.61, 0.41), (0.63, 0.31),
              (0.6, 0.54), (0.54, 0.77))  # fmt: skip
    assert asked["An 8", "turned"] == asked["An 8"]
    assert asked["A 6", "turned"] == page.asked != asked["A 6"] and p["A 6"] > 0.99  # a nine
    assert p["A 4"] < 0.9


# --- The address, and the way back ----------------------------------------------------------------------------------


ANCHORS = ("bar-and-flag", "not-a-digit", "in-a-corner", "upside-down")


def laid_out(page: Desk, anchor: str) -> bool:
    return page.page.evaluate("id => document.getElementById(id).closest('section').checkVisibility()", anchor)


def test_an_address_lays_out_its_experiment(desk):
    for anchor in ANCHORS:
        assert f"({anchor})=" in (BOOK / "playground_digits.md").read_text(encoding="utf-8")
        assert laid_out(desk(anchor=anchor), anchor)
    for settings in ({}, {"viewport": PHONE}):
        page = desk(anchor=ANCHORS[1], **settings)
        shown = page.page.locator(".pgd-card section section:visible")
        for n, anchor in enumerate(ANCHORS):
            choice = page.page.locator(".pgd-choices a").nth(n + 1)
            choice.click()
            expect(choice).to_have_attribute("aria-current", "true")
            assert shown.count() == 1 and laid_out(page, anchor)
            question, paper = shown.locator("> p").first.bounding_box(), page.sheet.bounding_box()
            height = page.page.viewport_size["height"]
            assert 0 <= paper["y"] < question["y"] + question["height"] < height, (settings, anchor)
        page.page.go_back()
        expect(page.page.locator(".pgd-choices a").nth(3)).to_have_attribute("aria-current", "true")
        assert shown.count() == 1 and laid_out(page, ANCHORS[2])
        page.page.get_by_role("link", name="Draw freely").click()
        expect(shown).to_have_count(0)


def test_after_back_the_page_and_the_model_agree(desk):
    page = desk()
    page.page.get_by_role("checkbox").first.uncheck()
    pull = page.page.locator("#digits-pull")
    pull.locator("input[value='4']").check(force=True)
    pull.locator("[data-string='0']").fill("2")
    page.at_rest()
    page.page.evaluate("window.here = true")
    page.page.goto((HTML / "glossary.html").as_uri())
    page.page.go_back()
    page.at_rest()
    browser.settle(page.page)
    page.page.wait_for_timeout(300)
    assert not page.page.evaluate("window.here")  # it was loaded anew, and the browser may fill in what was there
    agree = """() => {
      const image = (query) => [...document.querySelector(query).getContext("2d").getImageData(0, 0, 28, 28).data];
      const z = [...document.querySelectorAll("[data-string]")].map((string) => Number(string.value));
      const drawn = digits.decode(z, Number(document.querySelector("[name=expert]:checked").value));
      const off = image("#digits-pull .pgd-large").filter((_, i) => i % 4 === 0)
        .map((grey, d) => Math.abs(grey - 255 * (1 - drawn[d])));
      const seen = drawing.input(), shown = image(".pgd-input").filter((_, i) => i % 4 === 0);
      const number = ({textContent}) => Number(textContent.replace("−", "-"));
      const labels = [...document.querySelectorAll("[data-of]")].map(number);
      return [Math.max(...off), Math.max(...shown.map((grey, d) => Math.abs(grey - 255 * (1 - seen[d])))),
        Math.max(...labels.map((label, k) => Math.abs(label - z[k])))];
    }"""
    assert max(page.page.evaluate(agree)) <= 1


# --- Inside ---------------------------------------------------------------------------------------------------------


def test_one_can_click_into_each_part_of_the_way(desk):
    page = desk()
    inside, rows = page.page.locator("#digits-inside"), page.page.locator("#digits-way tbody tr")
    assert inside.is_hidden()
    rows.nth(3).locator("td").last.click()  # by mouse the whole row
    for expert, press in ((3, None), (0, "Enter"), (6, " ")):
        control = rows.nth(expert).get_by_role("button")
        if press:
            control.press(press)
        assert control.get_attribute("aria-expanded") == "true"
        assert page.page.locator("[aria-expanded=true]").count() == 1
        misses, kl = (float(inside.locator(f"[data-cell={cell}]").inner_text()) for cell in ("reconstruction", "kl"))
        assert misses + kl == pytest.approx(page.column(1)[expert], abs=0.11)
        drawn = page.image(f"#digits-way tr.pg-e{expert} td canvas")
        assert page.image("#digits-inside figure:nth-child(3) canvas") == drawn
        errors = [(a - b) ** 2 / 255 for a, b in zip(page.image(".pgd-input"), drawn, strict=True)]
        shown = page.image("#digits-inside figure:nth-child(4) canvas")
        assert max(abs(255 - a - b) for a, b in zip(shown, errors, strict=True)) < 3
    page.page.get_by_role("button", name="manager", exact=True).click()
    assert inside.locator(".pgd-maps").count() == 2
    logits = [float(t.split()[2].replace("−", "-")) for t in inside.locator("li").all_text_contents()]
    p = torch.tensor(logits).softmax(dim=0)
    torch.testing.assert_close(p, torch.tensor(page.column(0)), atol=0.03, rtol=0)
    page.page.locator("[data-part=image]").click()
    placed = page.image("#digits-inside figure:nth-child(3) canvas")
    assert sum(a != b for a, b in zip(placed, page.image(".pgd-input"), strict=True)) <= 1  # the mark in the middle
    page.press("Clear")
    assert "empty" in inside.inner_text()
    page.page.locator("[data-part=image]").click()
    assert inside.is_hidden()


# --- For everyone ---------------------------------------------------------------------------------------------------


def test_light_and_dark(desk):
    page = desk()
    texts = [("[data-cell=loss]", "color"), (".pgd-table thead th", "color"), (".pgd-round", "color")]
    texts += [("#digits-draw [data-do=clear]", "color"), ("#digits-pull [data-of='0']", "color")]
    texts += [(".pgd-limit", "color"), (".pgd-choices a:last-child", "color")]
    for mode in ("light", "dark"):
        page.page.evaluate("mode => document.documentElement.dataset.theme = mode", mode)
        for query, key in texts:
            assert contrast(page.page, query, key) > 4.5, (mode, query)
        for query in (".pgd-badge", ".pgd-choices [aria-current]"):
            assert contrast(page.page, query, "color", query) > 4.5
    ring = "n => getComputedStyle(n).borderColor"
    page.page.evaluate("document.documentElement.dataset.theme = 'light'")
    red, green, blue = (int(figures.color(4)[i : i + 2], 16) for i in (1, 3, 5))
    assert page.page.locator(".pgd-badge.pg-e4").first.evaluate(ring) == f"rgb({red}, {green}, {blue})"


def test_what_a_reader_opens_has_no_barriers_either(desk):
    """tests/test_accessibility.py sees the page as it comes; here a stranger lies on the paper, and all is open."""
    page = desk(anchor="not-a-digit")
    page.press("A letter")
    page.page.evaluate(AXE)
    for part in ("image", "manager", "4"):
        page.page.locator(f"[data-part='{part}']").click()
        for mode in ("light", "dark"):
            page.page.evaluate("mode => document.documentElement.dataset.theme = mode", mode)
            broken = page.page.evaluate("settings => axe.run(document.querySelector('#digits-draw'), settings)", QUICK)
            assert not broken["violations"], (part, mode)


def test_one_sees_the_weights_arrive(chromium):
    page = recorded_page(chromium, Visit(PAGE.name), viewport=DESKTOP)
    held = []
    page.route("**/weights/examples.js", lambda route: held.append(route))
    page.goto(PAGE.as_uri(), wait_until="commit")
    page.wait_for_function("document.querySelector('#digits-draw progress')?.value === 11")
    assert page.locator("#digits-draw progress").get_attribute("max") == "12"
    held[0].continue_()
    page.locator("#digits-draw .pgd-table").wait_for()
    assert page.locator("progress").count() == 0
    page.context.close()


def test_weights_that_do_not_arrive_are_told(chromium):
    page = recorded_page(chromium, Visit(PAGE.name), viewport=DESKTOP)
    page.route("**/weights/expert-3.js", lambda route: route.abort())
    page.goto(PAGE.as_uri())
    page.get_by_text("A part of the model has not arrived").wait_for()
    assert page.locator(".pgd-table").count() == 0
    page.context.close()


def test_without_javascript_the_page_says_so(chromium):
    page = recorded_page(chromium, Visit(PAGE.name), viewport=DESKTOP, java_script_enabled=False)
    page.goto(PAGE.as_uri())
    assert "JavaScript" in page.locator("#digits-draw").inner_text()
    assert page.locator("[data-digits]:visible").count() == 0
    assert page.locator("h3:visible").count() == len(ANCHORS)
    page.locator("details summary").first.click()
    assert page.get_by_text("change the decision").is_visible()
    assert page.get_by_text("needs JavaScript, too").is_visible()
    page.context.close()
