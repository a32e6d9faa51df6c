"""The visits in browsers of several engines: what is wrong with a page is found. The visits themselves take long."""

import browsers
import drive
import pytest

pytestmark = pytest.mark.browser

FRAME = '<!doctype html><html lang="en"><head><title>{0}</title></head><body><main><h1>{0}</h1>{1}</main></body></html>'
BROKEN = """<article><p style="width: 600px">Wider than a phone</p><img src="gone.png" alt="gone">
<details><summary>Shut</summary><div></div></details><span class="math"></span><a href="#"></a>
<img src="https://images.example/one.png" alt="from elsewhere"></article><script>undefined.boom</script>"""
STILL = """<p data-number="expected">1.0</p><p data-number="step">100</p><button data-do="play">Play</button>
<div id="digits-draw"><p class="pg-status">paper is empty</p><button data-do="clear">Clear</button>
<canvas class="pgd-sheet"></canvas></div><div id="digits-game"><button data-do="start">Start</button>
<button data-expert="0">A</button><p class="pgd-round">Image 1 of 12</p></div>"""


@pytest.fixture
def seen(chromium, tmp_path, monkeypatch) -> browsers.Seen:
    """What Chromium saw of a small book in which everything is wrong."""
    bodies = {"broken": BROKEN, "playground": STILL, "playground_digits": STILL, "search": "<p>Nothing found</p>"}
    for name, body in bodies.items():
        (tmp_path / f"{name}.html").write_text(FRAME.format(name, body), "utf-8")
    monkeypatch.setattr(browsers, "HTML", tmp_path)
    monkeypatch.setattr(browsers, "WAIT", 0.2)
    seen, tab = browsers.Seen("Chromium"), drive.PlaywrightTab(chromium)
    with browsers.served() as (_, address, missing):
        way = browsers.Round("phone", address, browsers.PHONE, True)
        browsers.look(tab, way, [f"{name}.html" for name in bodies if name != "search"], seen)
        seen.note("requests", "server", missing)
    tab.page.close()
    return seen


def test_what_is_wrong_is_found(seen):
    found = {kind: " ".join(lines) for kind, lines in seen.wrong.items()}
    assert "boom" in found["errors"]
    assert "gone.png gets 404" in found["requests"] and "https://images.example/one.png is foreign" in found["requests"]
    assert "608 px of 390" in found["wide"]
    assert "1 formulas are not drawn" in found["folds"] and "1 folds stay shut" in found["folds"]
    assert "2 pictures are not shown" in found["folds"]
    assert "the loss was 1.0, and is 1.0" in found["playgrounds"]
    assert "not “manager" in found["playgrounds"] and "not “Image 2 of 12”" in found["playgrounds"]
    assert "not “degenerate manager”" in found["search"]
    assert "broken.html, phone: link-name" in found["axe"]


def test_a_pointer_goes_down_at_its_first_point_and_up_at_its_last():
    (mouse,) = drive.pointer(((1.2, 2), (3, 4), (5, 6)))
    assert [action["type"].removeprefix("pointer") for action in mouse["actions"]] == [
        "Move",
        "Down",
        "Move",
        "Move",
        "Up",
    ]
    assert [(move["x"], move["y"]) for move in mouse["actions"] if "x" in move] == [(1, 2), (3, 4), (5, 6)]
