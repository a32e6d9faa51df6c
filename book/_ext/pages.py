"""What a published page needs beside its text: a description, a card to be shared with, a way home from a dead end.

The public address is `html.baseurl` of _config.yml, which `make address` rewrites; no page asks it for anything.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
CARD, CARD_SAYS = "_static/card.png", "Ten coloured experts around one manager, and a row of digits that experts drew"
LONGEST = 200  # characters of a description: search engines show about that many
OF_NO_SOURCE = {
    "genindex": "Every name of the library of this book, from A to Z, each with a link to what it does.",
    "search": "Search the book: mixtures of experts and variational autoencoders that sort digits without labels.",
}
BIBTEX = "<!-- bibtex -->"


def citation() -> dict:
    """The citation file of the repository."""
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def bibtex(cff: dict, year: str) -> str:
    """The same as a BibTeX entry."""
    authors = " and ".join(f"{{{author['name']}}}" for author in cff["authors"])
    fields = {"author": authors, "title": f"{{{cff['title']}}}", "year": year, "version": cff["version"]}
    fields |= {"note": "An executable book", "url": cff["repository-code"]}
    return "\n".join(["@software{moe_vae_book,", *(f"  {key} = {{{value}}}," for key, value in fields.items()), "}"])


def describe(doctree: nodes.document) -> str:
    """The first paragraph of a page that says something, up to the end of a sentence or word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        tells = len(text) > 60 and "\\" not in text and not text.startswith("Reading time")
        if tells and isinstance(paragraph.parent, nodes.section):
            whole = re.match(rf".{{60,{LONGEST}}}[.?!](?= |$)", text)
            return whole[0] if whole else text[:LONGEST].rpartition(" ")[0] + " …"
    return ""


def tags(title: str, book: str, description: str, base: str, page: str) -> str:
    """Meta tags of one page."""
    named = {"description": description, "twitter:card": "summary_large_image"}
    graph = {
        "title": title,
        "site_name": book,
        "type": "book" if page == "intro" else "article",
        "url": f"{base}{page}.html",
        "description": description,
        "image": base + CARD,
        "image:width": "1200",
        "image:height": "630",
        "image:alt": CARD_SAYS,
    }
    lines = [f'<meta name="{name}" content="{html.escape(text)}">' for name, text in named.items()]
    return "\n".join(
        [*lines, *(f'<meta property="og:{name}" content="{html.escape(text)}">' for name, text in graph.items())]
    )


def _add_tags(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    description = describe(doctree) if doctree else OF_NO_SOURCE.get(pagename)
    if description:
        title = re.sub(r"<[^>]+>", "", html.unescape(context.get("title", pagename.title())))
        base, book = app.config.html_baseurl, app.config.html_title
        context["metatags"] = f"{context.get('metatags', '')}\n{tags(title, book, description, base, pagename)}"


def _add_bibtex(app: Sphinx, docname: str, source: list[str]) -> None:
    if BIBTEX in source[0]:
        entry = bibtex(citation(), app.config.copyright)
        source[0] = source[0].replace(BIBTEX, f"```bibtex\n{entry}\n```")


def _dead_end(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """404.html, which GitHub Pages shows at any depth: so its links are whole addresses, and its picture is inside."""
    logo = (Path(app.srcdir) / "_static" / "logo.svg").read_text("utf-8")
    yield "404", {"logo": logo, "base": app.config.html_baseurl, "book": app.config.html_title}, "404.html"


def _write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        urls = "\n".join(
            f"  <url><loc>{app.config.html_baseurl}{page}.html</loc></url>" for page in sorted(app.env.found_docs)
        )
        head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        (Path(app.outdir) / "sitemap.xml").write_text(f"{head}\n{urls}\n</urlset>\n", "utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("source-read", _add_bibtex)
    app.connect("html-page-context", _add_tags)
    app.connect("html-collect-pages", _dead_end)
    app.connect("build-finished", _write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
