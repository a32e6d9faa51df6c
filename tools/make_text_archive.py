"""Makes moe_lib/assets/austen.txt.xz, two novels by Jane Austen, from a package of Debian, the same bytes every time.

    apt-get download r-cran-janeaustenr=1.0.0-1
    python tools/make_text_archive.py r-cran-janeaustenr_1.0.0-1_all.deb

The package holds the plain texts of Project Gutenberg without its licence text. The novels are in the public domain,
the package around them is MIT. `make test` never needs this: the archive is in the repository.
"""

import argparse
import hashlib
import io
import lzma
import re
import struct
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

SHA256 = "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"  # of the .deb
NOVELS = ("PRIDE AND PREJUDICE", "Persuasion")
ARCHIVE = Path(__file__).parent.parent / "moe_lib" / "assets" / "austen.txt.xz"
STRINGS, STRING = 16, 9  # types in R's serialisation


def member(deb: bytes, name: bytes) -> bytes:
    """A file of an ar archive, which a .deb is."""
    at = 8
    while at < len(deb):
        header, at = deb[at : at + 60], at + 60
        size = int(header[48:58])
        if header[:16].rstrip(b" /") == name:
            return deb[at : at + size]
        at += size + size % 2
    sys.exit(f"the package has no {name.decode()}")


def lines(database: bytes) -> Iterator[list[str]]:
    """The vectors of strings in one of R's databases: compressed pieces, each behind its length."""
    at = 0
    while at < len(database):
        piece = zlib.decompressobj()
        value = piece.decompress(database[at + 4 :])
        at = len(database) - len(piece.unused_data)
        start = value.index(struct.pack(">I", STRINGS))
        count, at_string = struct.unpack_from(">I", value, start + 4)[0], start + 8
        found = []
        for _ in range(count):
            flags, size = struct.unpack_from(">Ii", value, at_string)
            if flags & 0xFF != STRING:
                break
            found.append(value[at_string + 8 : at_string + 8 + size].decode("utf-8"))
            at_string += 8 + size
        yield found


def plain(text: str) -> str:
    """Letters without accents, straight quotes, single blank lines: ASCII alone."""
    for ours, plain in zip("‘’“”—–éèêàçæœ£", ["'", "'", '"', '"', "--", "-", *"eeeac", "ae", "oe", "l."], strict=True):
        text = text.replace(ours, plain)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the .deb")
    deb = parser.parse_args().package.read_bytes()
    if (found := hashlib.sha256(deb).hexdigest()) != SHA256:
        sys.exit(f"the package has SHA-256 {found}, expected {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(member(deb, b"data.tar.xz"))) as tar:
        name = next(name for name in tar.getnames() if name.endswith("/data/Rdata.rdb"))
        novels = {book[0]: "\n".join(book) for book in lines(tar.extractfile(name).read()) if book}
    text = "\n\n".join(plain(novels[title]) for title in NOVELS).encode("ascii")
    ARCHIVE.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{ARCHIVE}: {len(text):,} bytes of text in {ARCHIVE.stat().st_size:,}")


if __name__ == "__main__":
    main()
