"""`__main__.py` of tunnelkeeper.pyz: unpacks the program for this Python, once, and becomes it.

Modules of C cannot be loaded from a zip. So the files are unpacked into an environment in the cache
folder of the user, and Python is executed there. It trusts no folder that another user could have
written. It uses Python's own library alone, and no syntax that Python 3.7 lacks, so that an old
Python prints why it does not work.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import pwd
import shutil
import stat
import sys
import tempfile
import zipfile
from pathlib import Path

NAME = "tunnelkeeper"
VARIABLE = "TUNNELKEEPER_CACHE"
PYTHONS = ((3, 13), (3, 12), (3, 11))
"""What is looked for on PATH if the Python that runs this is not served."""

OLDEST_GLIBC = 28
"""The minor version of glibc 2 that the modules need at least."""


class LaunchError(Exception):
    """Raised when the program cannot start here; the text is the message."""


def tag_of(version: tuple[int, int], machine: str) -> str:
    """Return the name of a platform, such as cp311-x86_64."""
    processor = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
    return f"cp{version[0]}{version[1]}-{processor}"


def has_glibc(library: str, release: str) -> bool:
    """Return whether the C library is glibc 2, and new enough."""
    major, _, minor = release.partition(".")
    return library == "glibc" and major == "2" and minor.isdigit() and int(minor) >= OLDEST_GLIBC


def cache_folder(environment: dict[str, str], uid: int) -> Path:
    """Return where to unpack: $TUNNELKEEPER_CACHE, else in $XDG_CACHE_HOME, else in ~/.cache.

    root uses the home of its account: with sudo, $HOME may be that of the user who called it.
    """
    if environment.get(VARIABLE):
        return Path(os.path.abspath(environment[VARIABLE]))  # noqa: PTH100  it resolves `..`
    shared, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    if uid != 0 and shared.startswith("/"):
        return Path(shared, NAME, "pyz")
    if uid == 0 or not home.startswith("/"):
        try:
            home = pwd.getpwuid(uid).pw_dir
        except KeyError:
            raise LaunchError(f"user {uid} has no home; set {VARIABLE} to a folder") from None
    return Path(home, ".cache", NAME, "pyz")


def private_folder(folder: Path, uid: int) -> Path:
    """Create a folder with mode 0700 and return its real path.

    Raises LaunchError if another user could replace it, or a folder that leads to it.
    """
    remedy = f"set {VARIABLE} to a folder of yours"
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
        if folder.stat().st_uid == uid:
            folder.chmod(0o700)
    except OSError as error:
        raise LaunchError(f"cannot unpack into {folder}: {error.strerror}; {remedy}") from None
    for path in (folder, *folder.parents):
        found = path.stat()
        is_written_by_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # In a sticky folder, such as /tmp, others cannot rename what is not theirs.
        if found.st_uid not in {0, uid} or (
            is_written_by_others and not found.st_mode & stat.S_ISVTX
        ):
            raise LaunchError(
                f"another user could replace the program in {folder}, because of {path}; {remedy}"
            )
    if folder.stat().st_uid != uid:
        raise LaunchError(f"{folder} belongs to another user; {remedy}")
    return folder


class Archive:
    """The file itself: for each platform a list of files, and the content of each file once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path)
        self.tags = {name[:-5] for name in self._zip.namelist() if name.endswith(".json")}

    def listing(self, tag: str) -> bytes:
        """Return the list of a platform: a JSON object, "PATH": [SHA-256 in hex, size]."""
        return self._zip.read(f"{tag}.json")

    def content(self, name: str, digest: str) -> bytes:
        """Return the content of a file. Raises LaunchError if it has another hash."""
        content = self._zip.read(f"files/{digest}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise LaunchError(f"{self.path} is damaged: the hash of {name} differs")
        return content

    def unserved(self, tag: str) -> str:
        """Return the message for a platform that is not served."""
        served = ", ".join(sorted(self.tags))
        return (
            f"{self.path.name} serves Linux with glibc 2.{OLDEST_GLIBC} or newer on {served}; this"
            f" is {tag} on {sys.platform}. Start it with another Python, as in"
            f" `python3.11 {self.path}`, or install the program with pipx"
        )


def is_complete(folder: Path, files: dict[str, tuple[str, int]]) -> bool:
    """Return whether every file is there with its size: programs that clean caches remove some."""
    try:
        return (folder / "bin" / "python3").exists() and all(
            (folder / name).lstat().st_size == size for name, (_, size) in files.items()
        )
    except OSError:
        return False


def unpack(
    archive: Archive, files: dict[str, tuple[str, int]], folder: Path, executable: Path
) -> None:
    """Write the files into a folder beside it, then give that its name in one step.

    Of several processes that do so at once, one wins, and the others use its folder.
    """
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=str(folder.parent)))
    try:
        for name, (digest, _) in sorted(files.items()):
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.content(name, digest))
        (temporary / "bin" / "python3").symlink_to(executable)
        version = ".".join(map(str, sys.version_info[:3]))
        (temporary / "pyvenv.cfg").write_text(
            f"home = {executable.parent}\ninclude-system-site-packages = false\n"
            f"version = {version}\n"
        )
        if folder.is_dir() and not is_complete(folder, files):
            folder.rename(temporary / ".old")
        temporary.rename(folder)
    except OSError:
        if not is_complete(folder, files):
            raise
    finally:
        shutil.rmtree(str(folder / ".old"), ignore_errors=True)
        shutil.rmtree(str(temporary), ignore_errors=True)


def prepare(archive: Archive, tag: str, cache: Path, executable: Path) -> Path:
    """Return the folder of the environment for this Python; unpack it if that is needed.

    It is named by the hash of its list, which has the hashes of its files, and of its Python.
    """
    listing = archive.listing(tag)
    files = {name: (digest, size) for name, (digest, size) in json.loads(listing).items()}
    key = hashlib.sha256(listing + os.fsencode(str(executable))).hexdigest()[:32]
    folder = private_folder(cache, os.geteuid()) / key
    if not is_complete(folder, files):
        unpack(archive, files, folder, executable)
    return folder


def other_python(archive: Archive, machine: str) -> str | None:
    """Return the path of a Python on PATH that is served."""
    for version in PYTHONS:
        found = shutil.which("python{}.{}".format(*version))
        if found is not None and tag_of(version, machine) in archive.tags:
            return found
    return None


def start(path: Path, arguments: list[str]) -> None:
    """Become the program. Return only by an exception."""
    archive, machine = Archive(path), platform.machine()
    tag = tag_of(sys.version_info[:2], machine)
    if sys.platform != "linux" or not has_glibc(*platform.libc_ver()):
        raise LaunchError(archive.unserved(tag))
    if tag not in archive.tags:
        other = other_python(archive, machine)
        if other is None:
            raise LaunchError(archive.unserved(tag))
        os.execv(other, [other, str(path), *arguments])
    executable = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
    cache = cache_folder(dict(os.environ), os.geteuid())
    folder = prepare(archive, tag, cache, executable)
    python = str(folder / "bin" / "python3")
    os.execv(python, [python, str(folder / "bin" / NAME), str(path), *arguments])


def main() -> None:
    """Become the program, or print why that is not possible and exit with 1."""
    path = Path(os.path.abspath(sys.argv[0]))  # noqa: PTH100  a link keeps its name
    try:
        start(path, sys.argv[1:])
    except LaunchError as error:
        sys.exit(f"{NAME}: {error}")
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"{NAME}: cannot unpack {path}: {error}")


if __name__ == "__main__":
    main()
