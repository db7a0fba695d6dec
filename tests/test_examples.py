"""The examples: each loads without a word, and is what the ssh command in its comment does."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.requirements import require
from tunnelkeeper.config import load_with_warnings
from tunnelkeeper.core.forwards import (
    Forward,
    kind_of,
    parse_local,
    parse_remote,
    parse_socks,
)
from tunnelkeeper.core.references import parse_reference
from tunnelkeeper.core.tunnels import Configuration, SupervisorOptions, Tunnel
from tunnelkeeper.sshconfig import HostLookup, SshQuery, local_facts

FOLDER = Path(__file__).parent.parent / "examples"
RELAY = FOLDER / "relay.toml"  # of another kind: tests/relay/test_reference.py is about it
EXAMPLES = sorted(set(FOLDER.glob("*.toml")) - {RELAY}, key=lambda path: path.name)
REPLACES = "# replaces: "

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@each_example
def test_it_loads_without_problems_or_warnings(path: Path) -> None:
    _, warnings = load_with_warnings(path)

    assert warnings == ()


@each_example
def test_each_of_its_tunnels_has_a_command_that_it_replaces(path: Path) -> None:
    assert len(commands_of(path)) == len(load_with_warnings(path)[0].tunnels)


@each_example
def test_its_forwards_are_those_of_the_command(path: Path) -> None:
    for tunnel, answer in pairs(path):
        assert in_order(tunnel.forwards) == in_order(forwards_in(answer))


@each_example
async def test_its_hosts_are_those_of_the_command(path: Path) -> None:
    configuration = load_with_warnings(path)[0]
    for tunnel, answer in pairs(path):
        assert await way_of(tunnel, configuration) == way_in(answer)


def test_the_index_names_every_example_once() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in [*EXAMPLES, RELAY] if index.count(f"({path.name})") != 1] == []


def pairs(path: Path) -> list[tuple[Tunnel, list[tuple[str, str]]]]:
    """Each tunnel of an example with what ssh says of the command that it replaces."""
    tunnels = load_with_warnings(path)[0].tunnels.values()
    answers = [ask_ssh(command) for command in commands_of(path)]
    return list(zip(tunnels, answers, strict=True))


def commands_of(path: Path) -> list[str]:
    """The commands in an example's comments, in the order of its tunnels."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(REPLACES) for line in lines if line.startswith(REPLACES)]


def ask_ssh(command: str) -> list[tuple[str, str]]:
    """What `ssh -G` prints for a command line of ssh or autossh: keywords and values."""
    program, *arguments = shlex.split(command)
    if program == "autossh":
        flag, _monitoring_port, *arguments = arguments
        assert flag == "-M"
    asked = [require("ssh"), "-F", "none", "-G", *arguments]
    output = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return [(key, value) for key, _, value in (line.partition(" ") for line in output.splitlines())]


def forwards_in(answer: list[tuple[str, str]]) -> list[Forward]:
    """The forwards that ssh would make."""
    local = [parse_local(spec(value)) for key, value in answer if key == "localforward"]
    remote = [parse_remote(spec(value)) for key, value in answer if key == "remoteforward"]
    listening = {forward.listen for forward in local}
    socks = [parse_socks(value) for key, value in answer if key == "dynamicforward"]
    # OpenSSH 9.2 prints a local forward to a Unix socket as a dynamic one besides.
    return [*local, *remote, *(forward for forward in socks if forward.listen not in listening)]


def spec(value: str) -> str:
    """`5432 [db]:5432`, as ssh prints it, written as for its command line."""
    return value.removesuffix(" [socks]:0").replace(" ", ":")


def in_order(forwards: tuple[Forward, ...] | list[Forward]) -> list[tuple[str, str]]:
    """Forwards by kind; within a kind the order does not matter."""
    return sorted((kind_of(forward), str(forward)) for forward in forwards)


async def way_of(tunnel: Tunnel, configuration: Configuration) -> list[str]:
    """The hosts of a tunnel, first hop first, when ssh_config says nothing."""
    alone = replace(configuration, supervisor=SupervisorOptions(ssh_config=False))
    lookup = HostLookup(alone, SshQuery(require("ssh")), local_facts(), time.monotonic)
    return [str(host) for host in await lookup.chain(tunnel)]


def way_in(answer: list[tuple[str, str]]) -> list[str]:
    """The hosts that ssh would pass through and end at."""
    said = dict(answer)
    hops = said["proxyjump"].split(",") if "proxyjump" in said else []
    references = [parse_reference(hop) for hop in hops]
    jumps = [str(hop if hop.port else replace(hop, port=22)) for hop in references]
    return [*jumps, f"{said['user']}@{said['hostname']}:{said['port']}"]
