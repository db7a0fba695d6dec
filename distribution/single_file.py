"""`python -m distribution.single_file WHEEL`: writes tunnelkeeper.pyz, the program in one file.

It has the pinned packages for several versions of Python and processors; a file that several of
them need is in it once. `distribution.launcher` unpacks and starts it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from distribution.environment_files import SINGLE_FILE_SCRIPT
from distribution.site_packages import Platform, fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[1]
SHEBANG = b"#!/usr/bin/env python3\n"
PLATFORMS = tuple(
    Platform(python, processor)
    for processor in ("x86_64", "aarch64")
    for python in ("3.11", "3.12", "3.13")
)


def files_of(platform: Platform, site_packages: Path) -> dict[str, bytes]:
    """Return the files of the environment of a platform, by their path in it."""
    prefix = f"lib/python{platform.python}/site-packages"
    files = {
        f"{prefix}/{path.relative_to(site_packages)}": path.read_bytes()
        for path in sorted(site_packages.rglob("*"))
        if path.is_file()
    }
    return {**files, "bin/tunnelkeeper": SINGLE_FILE_SCRIPT.encode()}


def write_archive(
    out: Path, environments: Mapping[str, Mapping[str, bytes]], launcher: str, seconds: float
) -> None:
    """Write the file. environments: the files of each platform by its tag. seconds: their time."""
    stamp = time.gmtime(max(seconds, 315532800))[:6]  # a zip has no time before 1980
    contents: dict[str, bytes] = {}
    listings = {}
    for tag, files in environments.items():
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        contents.update((digests[name], content) for name, content in files.items())
        listings[tag] = {name: [digests[name], len(content)] for name, content in files.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            _add(archive, stamp, [("__main__.py", launcher.encode())])
            listed = ((f"{tag}.json", json.dumps(each).encode()) for tag, each in listings.items())
            _add(archive, stamp, listed)
            _add(archive, stamp, ((f"files/{name}", contents[name]) for name in sorted(contents)))
    out.chmod(0o755)


def _add(
    archive: zipfile.ZipFile,
    stamp: tuple[int, int, int, int, int, int],
    files: Iterable[tuple[str, bytes]],
) -> None:
    for name, content in files:
        info = zipfile.ZipInfo(name, stamp)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        archive.writestr(info, content)


def main() -> None:
    """Build the file and print its path and size."""
    parser = argparse.ArgumentParser(prog="python -m distribution.single_file", description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path("dist/tunnelkeeper.pyz"))
    parser.add_argument("--only", help="one platform, such as cp311-x86_64, for a quick build")
    arguments = parser.parse_args()
    environments = {}
    for platform in PLATFORMS:
        if arguments.only in {None, platform.tag}:
            with tempfile.TemporaryDirectory(prefix="tunnelkeeper-pyz-") as folder:
                site = Path(folder)
                sys.stdout.write(f"  {platform.tag}\n")
                sys.stdout.flush()
                fill(site, platform, ROOT / "requirements/run.lock", arguments.wheel)
                environments[platform.tag] = files_of(platform, site)
    if not environments:
        sys.exit(f"no platform {arguments.only}: {', '.join(each.tag for each in PLATFORMS)}")
    launcher = Path(__file__).with_name("launcher.py").read_text(encoding="utf-8")
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    write_archive(arguments.out, environments, launcher, seconds)
    sys.stdout.write(f"{arguments.out} {arguments.out.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
