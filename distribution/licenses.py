"""debian/copyright: the licences of the program and of what the package includes, as DEP-5."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message
    from pathlib import Path

_HEADER = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tunnelkeeper
Comment: The Python packages below are unchanged wheels of the Python Package Index.

Files: *
Copyright: {copyright}
License: Expat
"""
_CONTINUED = "\n" + " " * len("Copyright: ")
_LICENSE_FILES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE")
_COPYRIGHT = re.compile(r"^\s*(?:Portions )?Copyright\s+(?:\(c\)|©)?\s*(.*\d{4}.*)$", re.IGNORECASE)


def copyright_file(own_license: str, site_packages: Path, installed: str) -> str:
    """Return the text of the copyright file.

    own_license: the text of LICENSE. installed: the path of site_packages in the package.
    """
    own = next(_copyrights([own_license]), "the authors of tunnelkeeper")
    parts = [_HEADER.format(copyright=own)]
    texts = [_stanza("Expat", own_license.partition("\n\n")[2].partition("\n\n")[2])]
    for folder in sorted(site_packages.glob("*.dist-info")):
        metadata = HeaderParser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
        name = metadata["Name"]
        if name == "tunnelkeeper":
            continue
        files = [_license_text(path) for path in _license_files(folder)]
        holders = list(dict.fromkeys(_copyrights(files))) or [f"the authors of {name}"]
        short = f"{name}-license"
        parts.append(
            f"Files: {_glob(folder, installed)}\n"
            f"Copyright: {_CONTINUED.join(holders)}\n"
            f"License: {short}\n"
            f"Comment: {name} {metadata['Version']}, {_expression(metadata)}\n"
        )
        texts.append(_stanza(short, "\n\n".join(files) or _expression(metadata)))
    return "\n".join([*parts, *texts])


def _expression(metadata: Message) -> str:
    """Return the licence as the package names it."""
    found = metadata["License-Expression"] or metadata["License"] or ""
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in metadata.get_all("Classifier", [])
        if value.startswith("License ::")
    ]
    first = str(found).strip().splitlines()
    return first[0] if first else ", ".join(classifiers) or "the licence in its folder"


def _license_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name.upper().startswith(_LICENSE_FILES)
    )


def _license_text(path: Path) -> str:
    """Return the text of a licence, or where Debian has it."""
    text = path.read_text("utf-8", "replace")
    if "Apache License" in text and "TERMS AND CONDITIONS FOR USE" in text:
        return "On Debian systems the text is in /usr/share/common-licenses/Apache-2.0."
    return text


def _copyrights(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in text.splitlines():
            if found := _COPYRIGHT.match(line):
                yield found[1].strip()


def _glob(folder: Path, installed: str) -> str:
    """Return a pattern that covers the files which a package's RECORD lists."""
    names = set()
    for line in (folder / "RECORD").read_text(encoding="utf-8").splitlines():
        top = line.split(",")[0].split("/")[0]
        if top not in {"..", "bin"}:
            names.add(top)
    return " ".join(
        f"{installed}/{name}{'' if '.' in name and not name.endswith('-info') else '/*'}"
        for name in sorted(names)
    )


def _stanza(name: str, text: str) -> str:
    lines = [f" {line.rstrip()}" if line.strip() else " ." for line in text.strip().splitlines()]
    return "\n".join([f"License: {name}", *lines, ""])
