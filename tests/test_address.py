"""The repository's address: rewritten as a whole, and the same in every file."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from address import ROOT, current, move, parse, rewrite

OLD, NEW = ("old-owner", "a.book"), ("new-owner", "the_book")
URL = "https://github.com/{}/{}"

NO_ADDRESS = [
    "", "github.com/new-owner/the_book", "http://github.com/new-owner/the_book", "https://gitlab.com/new-owner/the_book",
    "https://github.com/new-owner", "https://github.com/new-owner/", "https://github.com/new-owner/the_book/",
    "https://github.com/new-owner/the_book.git", "https://github.com/new-owner/the_book/tree/main",
    "https://github.com/-new-owner/the_book", "https://github.com/new owner/the_book",
    "https://github.com/new-owner/the_book\n", "https://github.com/new-owner/..",
]  # fmt: skip
FORMS = [
    URL, f"{URL}.", f"{URL}.git", f"{URL}/actions/workflows/test.yml/badge.svg", f"pip install git+{URL}@main",
    f'"git+{URL}",\\n', "https://colab.research.google.com/github/{}/{}/blob/main/book/05_moe_vae.ipynb",
    "https://raw.githubusercontent.com/{}/{}/main/picture.svg", "[the book](https://{}.github.io/{}/intro.html)",
]  # fmt: skip
OTHERS = [
    "https://github.com/old-owner/a.book-two", "https://github.com/old-owner/a.book.two",
    "https://github.com/old-owner/a-book", "https://github.com/very-old-owner/a.book", "old-owner/a.book",
    "https://very-old-owner.github.io/a.book",
]  # fmt: skip


def test_only_the_address_of_a_repository_is_taken():
    assert parse(URL.format(*NEW)) == NEW
    for url in NO_ADDRESS:
        with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
            parse(url)


def test_every_form_is_rewritten_and_nothing_else():
    for form in FORMS:
        assert rewrite(form.format(*OLD), OLD, NEW) == form.format(*NEW)
    for text in OTHERS:
        assert rewrite(text, OLD, NEW) == text


def test_files_are_changed_once_and_back(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    url = URL.format(*OLD)
    files = {
        "book/_config.yml": f"title: A book\nrepository:\n  # where it is\n  url: {url}\n  branch: main\n",
        "README.md": f"See {url}, and https://github.com/someone/else.\r\n",
        "other.md": "a.book\n",
        ".gitignore": "built/\n",
        "built/page.html": url,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    if sys.platform != "win32":
        (tmp_path / "link.md").symlink_to("README.md")  # is not a file of its own
    (tmp_path / "data.xz").write_bytes(b"\xfd7zXZ\x00" + url.encode())

    def there() -> dict[str, str]:
        return {name: (tmp_path / name).read_bytes().decode() for name in files}

    assert sorted(move(NEW, tmp_path)) == ["README.md", "book/_config.yml"]
    assert current(tmp_path) == NEW
    assert there() == {n: t if n == "built/page.html" else t.replace(url, URL.format(*NEW)) for n, t in files.items()}
    assert move(NEW, tmp_path) == []
    move(OLD, tmp_path)
    assert there() == files
    for config in ("title: A book\n", files["book/_config.yml"] * 2):
        (tmp_path / "book/_config.yml").write_text(config, encoding="utf-8")
        with pytest.raises(ValueError):
            current(tmp_path)


def test_a_wrong_command_says_what_is_expected():
    for arguments in ([], ["nowhere"], ["https://github.com/a/b", "c"]):
        script = subprocess.run(
            [sys.executable, ROOT / "tools/address.py", *arguments], capture_output=True, encoding="utf-8"
        )
        assert script.returncode == 1
        assert script.stderr.startswith("address: ") and "expected https://github.com/OWNER/NAME" in script.stderr


def test_all_places_agree():
    """Each link into the book's own repository, of whatever form, names the repository of book/_config.yml."""
    owner, name = current()
    own = re.compile(
        r"colab\.research\.google\.com/github/(?P<colab>[\w.-]+/[\w.-]+)"
        r"|git\+https://github\.com/(?P<install>[\w.-]+/[\w.-]+?)(?=\.git|[^\w.-]|$)"
        rf"|github\.com/(?P<fork>[\w-]+/{re.escape(name)})(?![\w.-])"
        rf"|(?P<pages>[\w-]+)\.github\.io/{re.escape(name)}(?![\w.-])"
    )
    grep = ["git", "-C", ROOT, "grep", "-lIE", "--untracked", r"github\.(com|io)/"]
    names = [n for n in subprocess.check_output(grep, encoding="utf-8").split() if n != "tests/test_address.py"]
    found = [(n, match) for n in names for match in own.finditer((ROOT / n).read_text("utf-8"))]
    assert {match.lastgroup for _, match in found} == {"colab", "install", "fork", "pages"}
    wrong = [f"{n}: {match[0]}" for n, match in found if match[match.lastgroup] not in (f"{owner}/{name}", owner)]
    assert not wrong, "\n".join(wrong)
    config = yaml.safe_load((ROOT / "book/_config.yml").read_text("utf-8"))
    assert config["html"]["baseurl"] == f"https://{owner}.github.io/{name}/"
    for place in ("pyproject.toml", "README.md", "CITATION.cff"):
        assert URL.format(owner, name) in (ROOT / place).read_text("utf-8")


def test_chapters_open_themselves_in_colab():
    chapters = sorted((ROOT / "book").glob("*.ipynb"))
    assert len(chapters) >= 10
    for chapter in chapters:
        link = f"https://colab.research.google.com/github/{'/'.join(current())}/blob/main/book/{chapter.name}"
        assert f"]({link})" in "".join(json.loads(chapter.read_text("utf-8"))["cells"][0]["source"]), chapter.name


def test_every_chapter_of_the_contents_exists():
    names = re.findall(r"^(?:root| *- file): *(\S+)", (ROOT / "book/_toc.yml").read_text("utf-8"), re.MULTILINE)
    assert names
    assert not [name for name in names if not list((ROOT / "book").glob(f"{name}.*"))]
