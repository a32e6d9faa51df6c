"""The book on paper: all built pages in one PDF, with contents, an outline, page numbers, and links that work.

    python tools/paper.py

Build the book first (`make book`); `make pdf` does both. The PDF goes beside the pages, and is published with them. The
pages are joined into one, which Chromium prints twice: the first time tells where everything is. What paper can't do
leaves a line or a picture that leads online: code that is folded in the book, films, playgrounds. Solutions go to the
end of their chapter.
"""

import base64
import re
import sys
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import browser
import matplotlib
import pikepdf
import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "book" / "_build"
HTML = BUILD / "html"
PDF = HTML / "moe-vae-book.pdf"
FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf").as_uri()
CONFIG, TOC = (yaml.safe_load((ROOT / "book" / name).read_text("utf-8")) for name in ("_config.yml", "_toc.yml"))
ONLINE = CONFIG["html"]["baseurl"]
PARTS = {part["chapters"][0]["file"]: part["caption"] for part in TOC["parts"]}  # by the page that begins them
NAMES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
TO_BE_CLICKED = "script, link, button, .headerlink, .toctree-wrapper, p:has(> a[href^='https://colab.research'])"
ANSWER = re.compile("Solution|Answer|What the labels say")

FILL_IN = """numbers => document.querySelectorAll("a > .number").forEach((number) => {
  number.textContent = numbers[number.parentElement.hash.slice(1)];
})"""

LISTED = """() => [...document.querySelectorAll("#contents a")].map((link) =>
  [link.parentElement.className, link.firstChild.textContent.trim(), link.hash.slice(1)])"""


def element(html: str) -> Tag:
    return BeautifulSoup(html, "html.parser").contents[0]


def pointer(target: str, words: str) -> str:
    """A link that ends with the number of the page that it leads to, once `print_book` has filled it in."""
    return f'<a href="#{target}">{words} <span class="number">000</span></a>'


def unfold(article: Tag, online: str) -> None:
    """Nothing on paper can be opened: code stays online, answers go to the end, and the rest is printed where it is."""
    answers = element("<section><h2>Solutions</h2></section>")
    for i, details in enumerate(article.select("details")):
        summary = details.summary.extract()
        if "hide" in details.get("class", []):
            what = re.sub("Show (the )?code (of|cell source)", "", summary.p.get_text()).strip()
            line = element(f'<p class="fold"><a href="{online}">Folded code</a>{what and ": "}{escape(what)}</p>')
            details.replace_with(line, *details.select(".cell_output"))
        elif ANSWER.fullmatch(summary.get_text(strip=True)):
            asked = details.find_previous(lambda tag: tag.name in ("h2", "h3") or re.match(r"\d+\.\d", tag.text))
            line = f'<p class="fold" id="asked-{i}">{pointer(f"answer-{i}", "Solution on page")}</p>'
            details.replace_with(element(line))
            answers.append(element(f'<h3 id="answer-{i}"><a href="#asked-{i}">{escape(asked.get_text())}</a></h3>'))
            answers.extend([*details.contents])
        else:
            details.name, details["class"] = "div", "aside"
            details.insert(0, element(f"<p><strong>{summary.decode_contents()}</strong></p>"))
    if len(answers) > 1:
        article.append(answers)


def lead(article: Tag, name: str) -> None:
    """Makes links lead to other parts of the one page; to each id belongs the name of its chapter."""
    for tag in article.select("[id]"):
        tag["id"] = f"{name}--{tag['id']}"
    for tag in article.select("a[href]"):
        url = urlsplit(tag["href"])
        page = Path(url.path).stem or name
        if not url.scheme:
            inside = f"#{page}--{url.fragment}" if url.fragment else f"#{page}"
            tag["href"] = inside if page in NAMES and not url.query else ONLINE + tag["href"]
    for tag in article.select("[src]:not([src^='data:'])"):
        tag["src"] = f"html/{tag['src']}"


def on_paper(name: str, pictures: list[str]) -> Tag:
    """One built page without what is to be clicked, and with pictures of what moves."""
    online = f"{ONLINE}{name}.html"
    article = BeautifulSoup((HTML / f"{name}.html").read_text("utf-8"), "html.parser").select_one("article.bd-article")
    for tag in article.select(TO_BE_CLICKED):
        tag.decompose()
    for formula in article.select("mjx-container"):  # a picture, which has words for those who can't see it
        del formula.svg["aria-hidden"]
        formula.svg["aria-label"] = formula.select_one("mjx-assistive-mml").extract().get_text()
    for film in article.select("video"):
        still = f'<img src="{film["poster"]}" alt="{escape(film["aria-label"])}">'
        film.replace_with(element(f'<a href="{online}">{still}</a>'))
    for live, picture in zip(article.select(".pg"), pictures, strict=True):
        live.replace_with(element(f'<a href="{online}"><img class="pg" src="{picture}" alt="The playground"></a>'))
    unfold(article, online)
    lead(article, name)
    article["id"] = name
    if name == TOC["root"]:
        article.h1.string = "Introduction"  # its title is the book's, and on the cover
    if name in PARTS:
        article.insert(0, element(f'<p class="part">{PARTS[name]}</p>'))
    return article


def compose(pictures: dict[str, list[str]]) -> str:
    """The whole book as one page, with pictures of its playgrounds."""
    frame, css = ((ROOT / "tools" / name).read_text("utf-8") for name in ("paper.html", "paper.css"))
    css = css.replace("FONTS", FONTS)
    contents, chapters = "", ""
    for name in NAMES:
        article = on_paper(name, pictures.get(name, []))
        title = article.h1.get_text()
        css += f'[id="{name}"] {{ page: p-{name} }} @page p-{name} {{ @top-right {{ content: "{title}" }} }}\n'
        contents += f'<li class="part">{PARTS[name]}</li>' if name in PARTS else ""
        contents += f'<li class="chapter">{pointer(name, title)}</li>'
        for h2 in article.select("section[id] > h2"):
            contents += f"<li>{pointer(h2.parent['id'], h2.get_text())}</li>"
        chapters += str(article)
    version = re.search('__version__ = "(.*)"', (ROOT / "moe_lib" / "__init__.py").read_text("utf-8"))[1]
    about = {**CONFIG, "version": version, "licence": CONFIG["html"]["extra_footer"], "online": ONLINE}
    return frame.format(**about, css=css, contents=contents, chapters=chapters)


def playgrounds(chromium) -> dict[str, list[str]]:
    """Pictures of what moves online, by page."""
    pictures = {}
    for path in HTML.glob("playground*.html"):
        page = chromium.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=2, color_scheme="light")
        page.goto(path.as_uri())
        browser.settle(page)
        for start in page.get_by_role("button", name="Start", exact=True).all():
            start.click()
        shots = [live.screenshot() for live in page.locator(".pg").all()]
        pictures[path.stem] = [f"data:image/png;base64,{base64.b64encode(shot).decode()}" for shot in shots]
        page.close()
    return pictures


def print_book(page, pdf: Path) -> None:
    """Prints the composed book, which a browser shows, with the number of every page that it points to."""
    options = {"prefer_css_page_size": True, "print_background": True}
    browser.settle(page)
    with pikepdf.open(BytesIO(page.pdf(**options))) as first:
        sheets = {sheet.objgen: number for number, sheet in enumerate(first.pages, 1)}
        page.evaluate(FILL_IN, {name[1:]: sheets[place[0].objgen] for name, place in first.Root.Dests.items()})
    with pikepdf.open(BytesIO(page.pdf(**options, tagged=True))) as printed:
        with printed.open_outline() as outline:  # Chromium's own has titles twice where a heading began a page
            for kind, title, target in page.evaluate(LISTED):
                level = outline.root if kind == "chapter" else outline.root[-1].children
                level.append(pikepdf.OutlineItem(title, printed.Root.Dests[f"/{target}"]))
        printed.docinfo["/Author"] = CONFIG["author"]
        printed.save(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def main() -> None:
    if not (HTML / "index.html").is_file():
        sys.exit(f"{HTML} holds no book: run `make book` first")
    if browser.find() is None:
        sys.exit(f"no browser found to print the book with: install one of {', '.join(browser.NAMES)}")
    with browser.launch() as chromium:
        source = BUILD / "paper.html"
        source.write_text(compose(playgrounds(chromium)), "utf-8")
        page = chromium.new_page()
        page.goto(source.as_uri())
        print_book(page, PDF)
    print(f"The book on paper, {PDF.stat().st_size / 1e6:.1f} MB: {PDF.as_uri()}")


if __name__ == "__main__":
    main()
