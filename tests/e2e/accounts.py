"""Throwaway users of this machine, with a password that the real sshd checks."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.requirements import require, require_root

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Account:
    """A user and the password."""

    name: str
    password: str


def make_account(sandbox: Sandbox) -> Account:
    """Create a user, who is removed with the sandbox. Skip the test without root."""
    require_root()
    account = Account(f"tk{secrets.token_hex(4)}", secrets.token_hex(12))
    hashed = _run("openssl", "passwd", "-6", "-stdin", text=account.password).strip()
    _run("useradd", "--no-create-home", "--home-dir", "/", "--password", hashed, account.name)
    sandbox.add_cleanup(lambda: _run("userdel", account.name))
    return account


def _run(program: str, *arguments: str, text: str = "") -> str:
    command = [require(program), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
