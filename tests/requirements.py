"""Finds the programs that the tests need; refuses to run a test without them in silence."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

SYSTEM_DIRECTORIES = "/usr/sbin:/sbin:/usr/local/sbin"  # where sshd lives, often not on PATH


def require(name: str) -> str:
    """Return the path of a program. Skip the test without it, or fail if all are required."""
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), SYSTEM_DIRECTORIES))
    found = shutil.which(name, path=search)
    if found is None:
        absent(f"{name} is not installed")
    return found


def absent(reason: str) -> NoReturn:
    """Skip this test for want of something; with TUNNELKEEPER_REQUIRE_ALL=1 fail it instead."""
    if os.environ.get("TUNNELKEEPER_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def require_root() -> None:
    """Require the right to give files to other users and to run programs as them."""
    if os.geteuid() != 0:
        absent("only root can give files to other users")
