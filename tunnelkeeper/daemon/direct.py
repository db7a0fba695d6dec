"""`tunnelkeeper connect HOST HOST:PORT` without a supervisor: a connection of our own (ssh -W)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.core.exits import Exit
from tunnelkeeper.core.failures import with_hint
from tunnelkeeper.core.forwards import Address, parse_target
from tunnelkeeper.core.tunnels import Configuration
from tunnelkeeper.daemon.lookup import lookup_for
from tunnelkeeper.daemon.nursery import unwrapped
from tunnelkeeper.daemon.passage import carry
from tunnelkeeper.daemon.threads import DaemonThreads
from tunnelkeeper.forwarding.gate import Gate
from tunnelkeeper.forwarding.targets import TargetRefused
from tunnelkeeper.ssh.chain import Jumps
from tunnelkeeper.ssh.library import quieten
from tunnelkeeper.ssh.steps import SshFailure
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.core.tunnels import Host

Pump = Callable[[socket.socket], None]
"""Copies between standard input and output and a socket until both are done; it may block.

It closes the socket when it ends before that, so that the other side learns of it.
"""


def connect(config_path: str, reference: str, target: str, pump: Pump) -> int:
    """Connect to a host, open a target there and let `pump` serve it; returns the exit code.

    reference: a tunnel or host of the config file, if there is one, or of ssh_config.
    """
    quieten()
    try:
        configuration = _configuration(config_path)
        with unwrapped():
            asyncio.run(_connect(configuration, reference, parse_target(target), pump))
    except ConfigError as error:
        for problem in error.problems:
            _say(str(problem))
        return Exit.BAD_USAGE
    except SshFailure as failed:
        _say(with_hint(str(failed.failure), failed.failure.hint))
        return Exit.NOT_SO
    except SshConfigError as error:
        _say(with_hint(error.message, error.hint))
        return Exit.NOT_SO
    except TargetRefused as refusal:
        _say(f"{reference}: {target}: {refusal}")
        return Exit.NOT_SO
    return Exit.DONE


async def _connect(
    configuration: Configuration, reference: str, target: Address, pump: Pump
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreads())
    way = await _way(configuration, reference)
    async with Jumps() as jumps:
        chain = await jumps.connect(way, _Quiet())
        gate = Gate()
        gate.open(chain.connection)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            pumping = None

            def reached() -> None:
                nonlocal pumping
                pumping = loop.run_in_executor(None, pump, theirs)

            await carry(ours, b"", reached, gate, target, patience=0.0)
            if pumping is not None:
                await pumping
        finally:
            ours.close()
            theirs.close()
            await chain.close()


async def _way(configuration: Configuration, reference: str) -> tuple[Host, ...]:
    lookup = lookup_for(configuration)
    tunnel = configuration.tunnels.get(reference)
    if tunnel is not None:
        return await lookup.chain(tunnel)
    return await lookup.chain_to(reference)


def _configuration(path: str) -> Configuration:
    """The config file, or an empty configuration: a host of ssh_config needs none."""
    return load(path) if Path(path).exists() else Configuration(path)


def _say(text: str) -> None:
    print(f"tunnelkeeper: {text}", file=sys.stderr)  # noqa: T201  this is a command's voice


class _Quiet:
    """Reports warnings only: standard output is the stream."""

    def step(self, hop: str, step: Step) -> None:
        """See ssh.report.Report."""

    def debug(self, text: str) -> None:
        """See ssh.report.Report."""

    def info(self, text: str) -> None:
        """See ssh.report.Report."""

    def warn(self, text: str) -> None:
        """See ssh.report.Report."""
        _say(text)
