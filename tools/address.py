"""Writes the repository's public address everywhere it is needed.

    python tools/address.py https://github.com/OWNER/NAME

The address stands once, in book/_config.yml under repository.url. Badges, links, the chapters' "Open in Colab" links
and their install lines, the package's and the citation's URLs repeat it; this rewrites them all, in every text file
that git does not ignore.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "book/_config.yml"


class Repository(NamedTuple):
    """A repository on GitHub."""

    owner: str
    name: str

    @property
    def url(self) -> str:
        return f"https://github.com/{self.owner}/{self.name}"

    @property
    def pages(self) -> str:
        """Where GitHub Pages publishes its book."""
        return f"https://{self.owner}.github.io/{self.name}"


def parse(url: str) -> Repository:
    """The repository at `https://github.com/OWNER/NAME`; any other form raises ValueError."""
    match = re.fullmatch(r"https://github\.com/([A-Za-z0-9](?:-?[A-Za-z0-9])*)/([\w.-]+)", url, re.ASCII)
    if match is None or match[2] in (".", "..") or match[2].endswith(".git"):
        raise ValueError(f"{url!r} is not the address of a repository; expected https://github.com/OWNER/NAME")
    return Repository(*match.groups())


def current(root: Path = ROOT) -> Repository:
    """The repository that book/_config.yml names."""
    urls = re.findall(r"^repository:\n(?:[ #].*\n)*?  url: *(\S+)", (root / CONFIG).read_text("utf-8"), re.MULTILINE)
    if len(urls) != 1:
        raise ValueError(f"{CONFIG} must hold repository.url once, not {len(urls)} times")
    return parse(urls[0])


def rewrite(text: str, old: Repository, new: Repository) -> str:
    """`text` with each address of `old` turned into that of `new`; other addresses stay."""
    end = r"(?=\.git\b|(?!\.?[\w-]))"  # not the beginning of a longer name
    hosts = r"github\.com/|colab\.research\.google\.com/github/|raw\.githubusercontent\.com/"
    text = re.sub(rf"({hosts}){re.escape(f'{old.owner}/{old.name}')}{end}", rf"\g<1>{new.owner}/{new.name}", text)
    return re.sub(re.escape(old.pages) + end, new.pages, text)


def text_files(root: Path = ROOT) -> dict[Path, str]:
    """Path and content of each text file that git tracks or would track."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    files = {}
    for path in sorted({root / name for name in names if name}):
        if path.is_file() and not path.is_symlink():
            try:
                files[path] = path.read_bytes().decode("utf-8")  # bytes, so that line ends stay as they are
            except UnicodeDecodeError:
                continue
    return files


def move(new: Repository, root: Path = ROOT) -> list[Path]:
    """Point every file at `new`; returns the files that changed."""
    old = current(root)
    changed = []
    for path, text in text_files(root).items():
        if (moved := rewrite(text, old, new)) != text:
            path.write_bytes(moved.encode("utf-8"))
            changed.append(path)
    return changed


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("usage: make address URL=https://github.com/OWNER/NAME")
    try:
        new = parse(sys.argv[1])
        changed = move(new)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"address: {error}")
    for path in changed:
        print(f"  {path.relative_to(ROOT)}")
    print(f"{len(changed)} files changed; every link points at {new.url}")


if __name__ == "__main__":
    main()
