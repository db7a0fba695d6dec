"""The archive of `doctor --bundle`, for a bug report: what was found, and on which machine.

It has no secrets: no keys, no passphrases, no arguments of commands. It does have names of hosts,
users and files. It writes no file.
"""

from __future__ import annotations

import io
import platform
import subprocess
import tarfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec

import tunnelkeeper
from tunnelkeeper.config.errors import ConfigError
from tunnelkeeper.config.load import read_document
from tunnelkeeper.doctor.redaction import redact_config
from tunnelkeeper.presentation.diagnosis_text import as_objects, render_findings
from tunnelkeeper.presentation.formatting import record_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tunnelkeeper.core.diagnosis import Finding
    from tunnelkeeper.core.snapshot import LogRecord
    from tunnelkeeper.doctor.context import Machine

PACKAGES = ("asyncssh", "cryptography", "msgspec", "click", "rich", "psutil", "prompt_toolkit")
SSH_TIMEOUT = 5.0
FOLDER = "tunnelkeeper-doctor"
"""The folder in the archive, so that it unpacks into a folder of its own."""


def bundle_files(
    machine: Machine, findings: Sequence[Finding], records: Sequence[LogRecord]
) -> dict[str, bytes]:
    """Return the files of an archive by their names.

    records: the end of the log, oldest first.
    """
    text = "\n".join("".join(part for _, part in line) for line in render_findings(findings, None))
    files = {
        "findings.txt": f"{text}\n".encode(),
        "findings.json": msgspec.json.format(msgspec.json.encode({"checks": as_objects(findings)})),
        "versions.txt": "".join(f"{name}: {each}\n" for name, each in _versions()).encode(),
        "tunnels.toml": _config(str(machine.config)).encode(),
    }
    if machine.status is not None:
        files["status.json"] = msgspec.json.format(msgspec.json.encode(machine.status))
    if records:
        lines = (line for record in records for line in record_lines(record, utc=True))
        files["log.txt"] = "".join(f"{line}\n" for line in lines).encode()
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return files as a compressed tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _config(path: str) -> str:
    """Return the config file without its secrets, or why it cannot be read."""
    try:
        return redact_config(read_document(path).values)
    except ConfigError as error:  # without its syntax, a secret may be anywhere in the text
        return "".join(f"# {problem}\n" for problem in error.problems)


def _versions() -> list[tuple[str, str]]:
    """Return the versions of this program, its libraries, ssh and the system."""
    found = [
        ("tunnelkeeper", tunnelkeeper.__version__),
        ("python", platform.python_version()),
        ("system", platform.platform()),
    ]
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append((package, version(package)))
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            ["ssh", "-V"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SSH_TIMEOUT,
            check=False,
        )
        found.append(("ssh", done.stderr.strip()))
    return found
