"""What the real ssh makes of a command line, to compare tunnels of the config file with it."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.requirements import require
from tunnelkeeper.core.configuration import Configuration, SupervisorOptions, Tunnel
from tunnelkeeper.core.forward_spec import (
    Forward,
    kind_of,
    parse_local,
    parse_remote,
    parse_socks,
)
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.sshconfig import HostLookup, SshQuery, gather_facts

if TYPE_CHECKING:
    from collections.abc import Sequence


def ask_ssh(command: str) -> list[tuple[str, str]]:
    """Return what `ssh -G` prints for a command line of ssh or autossh: keywords and values."""
    program, *arguments = shlex.split(command)
    if program == "autossh":
        flag, _monitoring_port, *arguments = arguments
        assert flag == "-M"
    return answer_to(arguments)


def answer_to(arguments: Sequence[str], source: str = "none") -> list[tuple[str, str]]:
    """Return what `ssh -G` prints for these arguments. source: the ssh_config, or `none`."""
    asked = [require("ssh"), "-F", source, "-G", *arguments]
    output = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return [(key, value) for key, _, value in (line.partition(" ") for line in output.splitlines())]


def forwards_in(answer: Sequence[tuple[str, str]]) -> list[Forward]:
    """Return the forwards that ssh would make."""
    is_open = ("gatewayports", "yes") in answer
    local = [parse_local(spec(v, is_open=is_open)) for key, v in answer if key == "localforward"]
    remote = [parse_remote(spec(value)) for key, value in answer if key == "remoteforward"]
    listening = {forward.listen for forward in local}
    socks = [parse_socks(spec(v, is_open=is_open)) for key, v in answer if key == "dynamicforward"]
    # OpenSSH 9.2 prints a local forward to a Unix socket as a dynamic one besides.
    return [*local, *remote, *(forward for forward in socks if forward.listen not in listening)]


def spec(value: str, *, is_open: bool = False) -> str:
    """`5432 [db]:5432`, as ssh prints it, written as for its command line.

    is_open: GatewayPorts, by which a port that names no address is for everybody.
    """
    words = value.removesuffix(" [socks]:0").replace(" ", ":").replace("[]:", "*:")
    return f"*:{words}" if is_open and words[0].isdecimal() else words


def in_order(forwards: tuple[Forward, ...] | list[Forward]) -> list[tuple[str, str]]:
    """Group forwards by kind; within a kind the order does not matter."""
    return sorted((kind_of(forward), str(forward)) for forward in forwards)


async def hosts_of(tunnel: Tunnel, configuration: Configuration) -> list[str]:
    """Return the hosts of a tunnel, first hop first, without an ssh_config."""
    alone = replace(configuration, supervisor=SupervisorOptions(ssh_config=False))
    lookup = HostLookup(alone, SshQuery(require("ssh")), gather_facts(), time.monotonic)
    return [str(host) for host in await lookup.resolve(tunnel)]


def hosts_in(answer: list[tuple[str, str]]) -> list[str]:
    """Return the hosts that ssh would pass through and end at."""
    options = dict(answer)
    hops = options["proxyjump"].split(",") if "proxyjump" in options else []
    references = [parse_host_spec(hop) for hop in hops]
    jumps = [str(hop if hop.port else replace(hop, port=22)) for hop in references]
    return [*jumps, f"{options['user']}@{options['hostname']}:{options['port']}"]
