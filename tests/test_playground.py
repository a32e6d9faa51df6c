"""The playground: its arithmetic against moe_lib in double precision, and the page as a reader works it.

What the page's text promises of its experiments is held true here as well.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from sklearn.cluster import KMeans
from visits import DESKTOP, HTML, PHONE, Visit, recorded_page

import moe_lib
from moe_lib import (
    CooperatingExperts,
    FixedManager,
    ImportanceCV2,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    fit_parabolas,
    two_parabolas,
)
from moe_lib.ladder import LikelihoodMixture
from moe_lib.teaching import figures

SOURCE = Path(__file__).resolve().parent.parent / "book" / "_extra" / "playground"
PAGE = HTML / "playground.html"
KINDS = {
    "specialise": MixtureOfExperts,
    "cooperate": CooperatingExperts,
    "likelihood": LikelihoodMixture,
    "kmeans": MixtureOfExperts,
}

pytestmark = pytest.mark.browser
every_kind = pytest.mark.parametrize("kind", KINDS)
shapes = pytest.mark.parametrize("shape", [{"experts": 2, "degree": 2}, {"experts": 4, "degree": 3}], ids=str)


# --- The arithmetic -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arithmetic(chromium):
    """An empty page that knows mixture.js."""
    page = chromium.new_page()
    page.add_script_tag(path=SOURCE / "mixture.js")
    yield page
    page.close()


@pytest.fixture
def double(monkeypatch):
    """The library computes in double precision: its insistence on float32 is lifted."""
    for module in (moe_lib.manager, moe_lib.experts, moe_lib.mixture):
        for check in ("require_matrix", "require_float32"):
            monkeypatch.setattr(module, check, lambda *_: None, raising=False)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def flat(tensors) -> list[float]:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).tolist()


def as_points(x, y) -> list[dict]:
    """The page's points; their owner, where a rule settles it, is the nearer half of the line."""
    return [{"x": a, "y": b, "owner": int(a > 0.2)} for a, b in zip(flat([x]), flat([y]), strict=True)]


OBJECTIVE = """({theta, shape, points, settings}) => {
  const gradient = new Float64Array(theta.length);
  const losses = mixture.objective(Float64Array.from(theta), shape, points, settings, gradient);
  return {...losses, gradient: [...gradient]};
}"""


@shapes
@every_kind
def test_losses_and_gradients_are_those_of_the_library(arithmetic, double, kind, shape):
    torch.manual_seed(0)
    points = two_parabolas(40, seed=1)
    manager = Manager(1, shape["experts"], hidden=(16,), activation="tanh")
    experts = RegressionExperts(shape["experts"], degree=shape["degree"])
    for bias in (parameter for name, parameter in experts.named_parameters() if "bias" in name):
        torch.nn.init.normal_(bias)  # or all experts would start at the same height
    theta = flat([*manager.parameters(), *experts.parameters()])
    if kind == "kmeans":
        manager = FixedManager(lambda x: (x.flatten() > 0.2).long(), shape["experts"])
    model = KINDS[kind](manager, experts, balance=None if kind == "kmeans" else ImportanceCV2(0.3))
    expected = model.objective(points.x, points.y)
    expected.total.backward()

    found = arithmetic.evaluate(
        OBJECTIVE,
        {"theta": theta, "shape": shape, "points": as_points(points.x, points.y)}
        | {"settings": {"kind": kind, "weight": 0.3}},
    )
    assert found["expected"] == pytest.approx(expected.expected.item(), abs=1e-12)
    assert found["balancing"] == pytest.approx(expected.balancing.item(), abs=1e-12)
    gradient = flat(parameter.grad for parameter in model.parameters())
    assert found["gradient"][-len(gradient) :] == pytest.approx(gradient, abs=1e-12)
    assert not any(found["gradient"][: -len(gradient)])  # K-means' manager is told nothing
    assert max(map(abs, gradient)) > 0.01


@shapes
@every_kind
def test_gradients_are_slopes(arithmetic, kind, shape):
    furthest = arithmetic.evaluate(
        """([kind, shape]) => {
          const random = mixture.uniform(5), settings = {kind, weight: 0.3}, h = 1e-5;
          const theta = Float64Array.from({length: mixture.size(shape)}, () => mixture.normal(random) / 2);
          const point = (_, b) => ({x: 2 * random() - 1, y: random(), owner: b % shape.experts});
          const points = Array.from({length: 20}, point);
          const gradient = new Float64Array(theta.length);
          mixture.objective(theta, shape, points, settings, gradient);
          const total = (i, step) => mixture.objective(theta.with(i, theta[i] + step), shape, points, settings).total;
          const slopes = gradient.map((_, i) => (total(i, h) - total(i, -h)) / (2 * h));
          return Math.max(...slopes.map((slope, i) => Math.abs(slope - gradient[i])));
        }""",
        [kind, shape],
    )
    assert furthest < 1e-8


@pytest.mark.parametrize("kind", ["specialise", "cooperate", "likelihood"])
def test_fifty_steps_are_those_of_fit(arithmetic, double, kind):
    start, batches = [], []

    def watch(epoch, model):
        if epoch == 0:
            start.extend(flat(model.parameters()))
            model.register_forward_pre_hook(lambda _, batch: batches.append(as_points(*batch[:2])))

    model, history = fit_parabolas(two_parabolas(500), seed=3, epochs=5, kind=KINDS[kind], on_epoch=watch)
    found = arithmetic.evaluate(
        """([start, batches, kind]) => {
          const run = new mixture.Run({experts: 2, degree: 2}, 0);
          run.theta.set(start);
          const settings = {kind, weight: 0, rates: {manager: 0.02, experts: 0.05}};
          return {losses: batches.map((batch) => run.step(batch, settings).total), theta: [...run.theta]};
        }""",
        [start, batches, kind],
    )
    assert len(batches) == 50
    assert found["theta"] == pytest.approx(flat(model.parameters()), abs=1e-8)
    assert sum(found["losses"][-10:]) / 10 == pytest.approx(history.total[-1], abs=1e-8)
    assert found["theta"] != pytest.approx(start, abs=0.1)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_kmeans_is_as_good_as_that_of_scikit_learn(arithmetic, k):
    points = two_parabolas(120, seed=2)
    for rows in (points.x, torch.cat([points.x, points.y], dim=1)):
        best = KMeans(k, n_init=20, random_state=0).fit(rows.numpy())
        found = arithmetic.evaluate("([rows, k]) => mixture.kmeans(rows, k)", [rows.tolist(), k])
        assert found["inertia"] == pytest.approx(best.inertia_, rel=1e-5)
        assert sorted(map(found["owner"].count, range(k))) == sorted(map(best.labels_.tolist().count, range(k)))


def test_a_seed_settles_weights_and_order_and_an_epoch_visits_no_point_twice(arithmetic):
    first, again, other, seen = arithmetic.evaluate(
        """() => {
          const points = Array.from({length: 120}, (_, x) => ({x}));
          const draw = (seed) => {
            const run = new mixture.Run({experts: 3, degree: 2}, seed);
            return [...run.theta, ...[1, 2, 3].flatMap(() => run.batch(points)).map(({x}) => x)];
          };
          return [draw(0), draw(0), draw(1), draw(0).slice(-150, -50)];
        }"""
    )
    assert first == again != other
    assert len(set(seen)) == 100
    drawn = torch.tensor(arithmetic.evaluate("() => Array.from({length: 4000}, mixture.uniform(7))"))
    assert drawn.min() >= 0 and drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=0.004)


# --- What both playgrounds are tested with ---------------------------------------------------------------------------


def contrast(page, query: str, key: str, ground: str = "body") -> float:
    """How far the luminance of a colour is from that of its ground, as WCAG 2 counts it."""

    def luminance(query: str, key: str) -> float:
        value = page.locator(query).first.evaluate("(node, key) => getComputedStyle(node)[key]", key)
        scale = 1 if value.startswith("color(") else 255  # color-mix gives "color(srgb r g b)", in [0, 1]
        rgb = torch.tensor([float(part) / scale for part in re.findall(r"[\d.]+", value)[:3]])
        linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return (linear @ torch.tensor([0.2126, 0.7152, 0.0722])).item()

    dim, bright = sorted([luminance(query, key), luminance(ground, "backgroundColor")])
    return (bright + 0.05) / (dim + 0.05)


# --- The page -------------------------------------------------------------------------------------------------------


class Playground:
    """The page in a browser, and what a reader does there."""

    def __init__(self, page) -> None:
        self.page = page
        page.locator("[name=speed]").select_option("fast")

    def number(self, name: str) -> float:
        return float(self.page.locator(f"[data-number={name}]").inner_text().replace(",", ""))

    @property
    def shares(self) -> list[int]:
        """Mean p of each expert, in percent."""
        return [int(text.split()[0]) for text in self.page.locator(".pg-percent").all_inner_texts()]

    @property
    def borders(self) -> list[float]:
        text = self.page.locator(".pg-status").inner_text().replace("−", "-")
        return [float(x) for x in re.findall(r"x\s=\s(-?[\d.]+)", text)]

    @property
    def points(self):
        return self.page.locator(".pg-point")

    def set_up(self, **settings) -> None:
        """What a button of an experiment does; `trained` steps take no time to watch."""
        control = self.page.locator("[data-playground]").first
        control.evaluate("(node, text) => { node.dataset.playground = text; node.click(); }", json.dumps(settings))

    def play(self, steps: int) -> None:
        end = self.number("step") + steps
        self.page.get_by_role("button", name="Play", exact=True).click()
        reached = "n => Number(document.querySelector('[data-number=step]').textContent.replace(',', '')) >= n"
        self.page.wait_for_function(reached, arg=end)
        self.page.get_by_role("button", name="Pause", exact=True).click()

    def slide(self, name: str, value: float) -> None:
        """Moves a slider by keyboard until it shows the value."""
        slider = self.page.locator(f"input[name={name}]")
        slider.press("Home")
        for _ in range(12):
            if float(self.page.locator(f"[data-of={name}]").inner_text()) == value:
                return
            slider.press("ArrowRight")
        raise AssertionError(f"{name} cannot be set to {value}")


@pytest.fixture
def open_page(open_built):
    """Opens the playground."""
    return lambda **settings: Playground(open_built(PAGE, **settings))


def test_playing_makes_the_loss_fall_and_reset_brings_it_back(open_page):
    playground = open_page()
    assert playground.number("step") == 0  # nothing plays by itself
    start = playground.number("total")
    playground.play(200)
    assert playground.number("total") < start / 2
    playground.page.get_by_role("button", name="Reset", exact=True).click()
    assert (playground.number("step"), playground.number("total")) == (0, start)
    playground.page.get_by_role("button", name="Step", exact=True).click()
    assert playground.number("step") == 1
    assert "After 1 step the loss" in playground.page.locator("[role=status]").inner_text()


def test_the_degenerate_manager_degenerates_and_the_balancing_weight_cures_it(open_page):
    playground = open_page()
    # Exactly so many steps: played, they are as many as the clock has time for, and raising the weight at two in eighty
    # of the steps from 600 to 900 ends with two borders.
    playground.set_up(preset="degenerate", trained=600)
    assert max(playground.shares) > 95
    assert "has taken everything" in playground.page.locator("[role=status]").inner_text()
    playground.slide("weight", 0.1)
    playground.play(900)
    assert max(playground.shares) < 60
    assert playground.borders == pytest.approx([0], abs=0.04)


def test_a_faster_manager_is_not_cured_for_thousands_of_steps_but_prevented(open_page):
    playground = open_page()
    playground.set_up(preset="degenerate", manager=0.1, trained=1500)
    assert max(playground.shares) == 100
    playground.slide("weight", 0.1)
    playground.play(2400)
    assert max(playground.shares) == 100
    playground.set_up(preset="degenerate", manager=0.1, weight=0.1, trained=1500)
    assert max(playground.shares) < 60


def test_who_cooperates_leans_and_who_specialises_does_not(open_page):
    playground = open_page()
    playground.set_up(preset="parabolas", kind="cooperate", trained=3000)
    assert playground.number("alone") > 10 * playground.number("blend")
    playground.set_up(preset="parabolas", kind="specialise", trained=3000)
    assert playground.number("alone") < 1.1 * playground.number("blend") < 0.002


def test_a_point_of_the_other_parabola_stays_with_its_neighbours(open_page):
    """Moved by keyboard, as its reader without a mouse would."""
    playground = open_page()
    playground.set_up(preset="parabolas", trained=2400)
    assert playground.borders == pytest.approx([0], abs=0.04)
    xs = playground.points.evaluate_all("nodes => nodes.map(n => parseFloat(n.ariaLabel.slice(2).replace('−', '-')))")
    stranger = playground.points.nth(min(range(len(xs)), key=lambda b: abs(xs[b] + 0.1)))
    before = playground.number("total")
    owner = stranger.get_attribute("aria-label").split(",")[-1]
    for _ in range(8):
        stranger.press("Shift+ArrowUp")
    assert float(stranger.get_attribute("aria-label").split("y ")[1].split(",")[0]) > 0.85
    playground.play(600)
    assert stranger.get_attribute("aria-label").split(",")[-1] == owner
    assert playground.number("total") > 3 * before


def test_kmeans_follows_the_crowd(open_page):
    playground = open_page()
    playground.set_up(preset="parabolas", kind="kmeans-x", trained=2400)
    (border,), loss = playground.borders, playground.number("total")
    assert border > 0.1
    playground.set_up(crowd=True, trained=1500)
    assert playground.borders[0] < border - 0.05
    assert playground.number("total") < loss / 2
    playground.set_up(preset="parabolas", kind="kmeans-xy", trained=2400)
    assert playground.number("total") == pytest.approx(loss, abs=2e-4)
    assert not playground.borders
    assert playground.page.locator(".pg-tick").count() == 120


def test_three_pieces_keep_three_experts_and_too_much_balance_moves_their_borders(open_page):
    playground = open_page()
    away = []
    for settings in ({"seed": 2}, {"seed": 1}, {"weight": 0.02}, {"weight": 0.5}):
        playground.set_up(preset="pieces", trained=1500, **settings)
        assert min(playground.shares) > 25
        left, right = playground.borders
        away.append(abs(left + 1 / 3) + abs(right - 1 / 3))
    assert min(playground.shares) >= 32
    assert max(away[:-1]) < 0.08 < away[-1]


def test_not_every_seed_finds_the_split(open_page):
    playground = open_page()
    found = []
    for seed in (0, 1, 2):
        playground.set_up(preset="parabolas", seed=seed, trained=2000)
        found.append(len(playground.borders) == 1 and abs(playground.borders[0]) < 0.05)
    assert found == [False, True, True]


def test_points_by_keyboard(open_page):
    playground = open_page()
    page, count = playground.page, playground.points.count()
    assert page.locator(".pg-point[tabindex='0']").count() == 1  # one stop for the Tab key, not a hundred
    page.locator("[data-do=play]").focus()
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.pg-point')"):
            break
    label = "document.activeElement.getAttribute('aria-label')"
    first = page.evaluate(label)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(label) != first
    page.keyboard.press("End")
    last = page.evaluate(label)
    assert re.fullmatch(r"x 1\.00, y 0\.\d\d, expert [12]", last)
    page.keyboard.press("PageUp")
    assert page.evaluate(label) != last
    page.keyboard.press("Delete")
    assert playground.points.count() == count - 1
    assert page.evaluate("document.activeElement.matches('.pg-point')")
    page.get_by_role("button", name="Add point").press("Enter")
    assert playground.points.count() == count
    page.get_by_role("button", name="Remove point").press("Enter")
    page.get_by_role("button", name="Clear").press("Enter")
    assert playground.points.count() == 0
    page.locator("[data-do=play]").press("Enter")  # nothing to play with
    assert page.locator("[data-do=play]").inner_text() == "Play"
    page.get_by_role("button", name="Restore").press("Enter")
    assert playground.points.count() == count


def test_points_by_mouse(open_page):
    playground = open_page()
    page, count = playground.page, playground.points.count()
    box = page.locator(".pg-main").bounding_box()
    at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
    page.mouse.move(*at(0.4, 0.9))
    page.mouse.down()
    page.mouse.move(*at(0.6, 0.9), steps=20)  # draws
    page.mouse.up()
    assert playground.points.count() > count + 3
    drawn = playground.points.nth(count)
    old = drawn.get_attribute("aria-label")
    page.mouse.move(*at(0.4, 0.9))
    page.mouse.down()
    page.mouse.move(*at(0.45, 0.2), steps=5)  # drags
    page.mouse.up()
    assert drawn.get_attribute("aria-label") != old


def test_light_and_dark(open_page):
    css = (SOURCE / "style.css").read_text(encoding="utf-8")
    assert re.findall(r"--e\d: (#\w{6});", css)[:10] == [color.lower() for color in figures.EXPERT_COLORS]
    playground = open_page()
    playground.set_up(preset="own", experts=4)
    for mode, pairs in {
        "light": [(".pg-line.pg-e0", "stroke"), (".pg-line.pg-e1", "stroke"), (".pg-line.pg-e2", "stroke")],
        "dark": [(f".pg-line.pg-e{i}", "stroke") for i in range(4)],
    }.items():
        playground.page.evaluate("mode => document.documentElement.dataset.theme = mode", mode)
        texts = [(".pg-axes text", "fill"), ("[data-do=step]", "color"), (".pg-percent", "color")]
        for query, key in pairs + texts:
            assert contrast(playground.page, query, key) > (3 if key == "stroke" else 4.5), (mode, query)


def test_a_phone_and_a_finger(open_page):
    playground = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    page, count = playground.page, playground.points.count()
    playground.set_up(preset="parabolas", experts=4, degree=3, trained=300)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.wait_for_timeout(800)  # the page rolls to the playground
    page.locator(".pg-main").scroll_into_view_if_needed()
    box = page.locator(".pg-main").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 20)
    assert playground.points.count() == count + 1
    new = playground.points.nth(count)
    old = new.get_attribute("aria-label")
    spot = new.bounding_box()
    x, y = spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2
    scrolled = page.evaluate("scrollY")
    finger = page.context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 9):
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y + 10 * step}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.evaluate("scrollY") == scrolled  # the finger moved the point, not the page
    assert new.get_attribute("aria-label").split(",")[1] != old.split(",")[1]


def test_with_reduced_motion_the_picture_changes_seldom(open_page):
    playground = open_page(reduced_motion="reduce")
    changes = playground.page.evaluate(
        """() => new Promise((resolve) => {
          let changes = 0;
          const step = document.querySelector("[data-number=step]");
          new MutationObserver(() => (changes += 1)).observe(step, {childList: true});
          document.querySelector("[data-do=play]").click();
          setTimeout(() => resolve(changes), 1600);
        })"""
    )
    assert 1 <= changes <= 3


def test_without_javascript_the_page_says_so(chromium):
    page = recorded_page(chromium, Visit(PAGE.name), viewport=DESKTOP, java_script_enabled=False)
    page.goto(PAGE.as_uri())
    assert "JavaScript" in page.locator("#playground").inner_text()
    assert page.locator("[data-playground]:visible").count() == 0
    page.locator("details summary").first.click()
    assert page.get_by_text("With the book’s rates it is not too late").is_visible()
    page.context.close()
