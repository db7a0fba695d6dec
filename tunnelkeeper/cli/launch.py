"""The one place where the command line starts what it otherwise only talks to: the supervisor.

Everything is imported late: the commands that ask a running supervisor must not pay for SSH.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a config file, and what is only worth knowing; one line each."""

    problems: list[str]
    warnings: list[str]


def check(config: Path) -> Findings:
    """Validate a config file and everything it names; connects to nothing."""
    from tunnelkeeper.daemon import preflight

    return Findings(*preflight.check(str(config)))


def run(config: Path, socket: Path, names: tuple[str, ...], group: str | None) -> int:
    """Be the supervisor until it ends; returns the exit code."""
    from tunnelkeeper.daemon import main

    return main.run(str(config), socket, names, group)


def connect(
    config: Path, reference: str, target: str, pump: Callable[[socket.socket], None]
) -> int:
    """Let `pump` serve a target through a connection of our own; returns the exit code."""
    from tunnelkeeper.daemon import direct

    return direct.connect(str(config), reference, target, pump)


def command_line(
    config: Path, socket: Path, names: tuple[str, ...], group: str | None
) -> list[str]:
    """The arguments of a process that does what run() does."""
    arguments = [sys.executable, "-m", "tunnelkeeper"]
    arguments += ["--config", str(config), "--socket", str(socket), "up"]
    if group is not None:
        arguments += ["--group", group]
    return [*arguments, "--", *names]
