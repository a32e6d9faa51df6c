"""Draws book/_static/card.png, the picture that others see when somebody shares a page: 1200 x 630 pixels.

    python tools/social_card.py

Its parts are the book's own: the logo, and drawings of its experts from the cover. Run it again when those change.
"""

import base64
import io
import tempfile
from pathlib import Path

import browser
from PIL import Image

STATIC = Path(__file__).resolve().parent.parent / "book" / "_static"
SIZE = {"width": 1200, "height": 630}

HTML = """<!doctype html><style>
body {{ margin: 0; width: 1200px; height: 630px; display: grid; grid-template: 455px 175px / 400px 1fr;
       background: #14282b; color: #fff; font-family: Palatino, "TeX Gyre Pagella", "DejaVu Serif", Georgia, serif }}
.logo {{ margin: 72px 0 0 70px }} .logo svg {{ width: 310px }}
h1 {{ margin: 84px 60px 0 0; font-size: 68px; line-height: 1.12; font-weight: normal }}
p {{ font: 27px/1.4 "DejaVu Sans", sans-serif; color: #b5e5ea; margin: 22px 60px 0 0 }}
.digits {{ grid-column: 1 / 3; background: #fff; display: flex; align-items: center; justify-content: center }}
.digits img {{ height: 124px; width: 1160px; object-fit: cover; object-position: bottom }}
</style><div class="logo">{logo}</div><div><h1>Mixture of Experts Without Labels</h1>
<p>An executable book: a network learns to sort and to draw digits, and nobody tells it which is which.</p></div>
<div class="digits"><img src="data:image/svg+xml;base64,{digits}"></div>"""


def main() -> None:
    logo = (STATIC / "logo.svg").read_text("utf-8")
    digits = base64.b64encode((STATIC / "cover.svg").read_bytes()).decode()
    with browser.launch() as chromium, tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "card.html"
        source.write_text(HTML.format(logo=logo, digits=digits), "utf-8")
        page = chromium.new_page(viewport=SIZE)
        page.goto(source.as_uri())
        picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(64).save(STATIC / "card.png", optimize=True)
    print(f"{STATIC / 'card.png'}: {(STATIC / 'card.png').stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
