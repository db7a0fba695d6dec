"""Programs that need SSH refuse an old asyncssh at once; the other commands run without it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper import __version__
from tunnelkeeper.core.library_version import (
    ASYNCSSH_NEEDED,
    LibraryVersionError,
    check_asyncssh_version,
)

if TYPE_CHECKING:
    from pathlib import Path

RUN_ALL = """
import sys
from tunnelkeeper.cli.main import run
for line in sys.argv[1:]:
    print("code", run(line.split()), file=sys.stderr)
"""

NEEDS_SSH = [
    "up",
    "check",
    "connect t localhost:22",
    "relay serve",
    "relay check",
    "autossh -M 0 host",
    "demo",
]
NEEDS_NO_SSH = ["--version", "status", "units print", "relay status", "--help"]

OLD = '__version__ = "2.24.0"\n'
BROKEN = 'raise ImportError("cannot import name \\x1b[31mTripleDES")\n'


def run_with_asyncssh(folder: Path, source: str, *lines: str) -> str:
    """Run command lines with another asyncssh, and return their standard error."""
    (folder / "asyncssh").mkdir()
    (folder / "asyncssh" / "__init__.py").write_text(source)
    config = folder / "tunnels.toml"
    config.write_text('[tunnels.t]\nhost = "host"\nsocks = ["1080"]\n')
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "TUNNELKEEPER_CONFIG": str(config),
        "TUNNELKEEPER_SOCKET": str(folder / "run" / "control.sock"),
    }
    command = [sys.executable, "-c", RUN_ALL, *lines]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert __version__ in done.stdout or "--version" not in lines
    return done.stderr


def test_every_program_that_needs_ssh_refuses_an_old_asyncssh(tmp_path: Path) -> None:
    errors = run_with_asyncssh(tmp_path, OLD, *NEEDS_SSH).splitlines()

    message = (
        "tunnelkeeper: asyncssh 2.24.0 is installed, and 2.24.1 or newer is needed; "
        "install a newer one: pip install --upgrade 'asyncssh>=2.24.1'"
    )
    assert errors == [message, "code 1"] * len(NEEDS_SSH)


def test_an_asyncssh_that_cannot_be_imported_is_refused_with_the_reason(tmp_path: Path) -> None:
    errors = run_with_asyncssh(tmp_path, BROKEN, "check")

    assert "asyncssh cannot be imported (cannot import name \\x1b[31mTripleDES)" in errors
    assert ASYNCSSH_NEEDED in errors
    assert errors.endswith("code 1\n")


def test_commands_that_need_no_ssh_do_not_import_it(tmp_path: Path) -> None:
    errors = run_with_asyncssh(tmp_path, BROKEN, *NEEDS_NO_SSH)

    assert "asyncssh" not in errors


@pytest.mark.parametrize(
    "version", ["2.24.1", "2.24.2", "2.25.0b1", "2.100", "3.0", "2.24.1+deb12"]
)
def test_newer_versions_are_accepted(version: str) -> None:
    check_asyncssh_version(version)


@pytest.mark.parametrize("version", ["2.24.0", "2.9.9", "2.24", "1.99.9", "", "unknown", "v3"])
def test_older_and_unknown_versions_are_refused(version: str) -> None:
    with pytest.raises(LibraryVersionError, match=r"2\.24\.1 or newer is needed"):
        check_asyncssh_version(version)


WARN = """
import warnings
import tunnelkeeper.{module}
from asyncssh.crypto import DH
from asyncssh.kex_dh import _group14_g, _group14_p
from cryptography.utils import CryptographyDeprecationWarning
DH(_group14_g, _group14_p)  # deprecated since cryptography 50
warnings.warn("Blowfish has been moved", CryptographyDeprecationWarning)
"""


@pytest.mark.parametrize("module", ["ssh", "oneshot.check", "relay.main"])
def test_warnings_of_cryptography_are_not_shown(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WARN.format(module=module)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
