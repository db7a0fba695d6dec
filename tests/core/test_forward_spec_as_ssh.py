"""Forward specs compared with the output of `ssh -G`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require
from tunnelkeeper.core.forward_spec import (
    EVERY_INTERFACE,
    LOOPBACK,
    Address,
    Forward,
    SpecError,
    UnixAddress,
    kind_of,
    parse_local,
    parse_remote,
    parse_socks,
    target_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PARSERS: dict[str, Callable[[str], Forward]] = {
    "-L": parse_local,
    "-R": parse_remote,
    "-D": parse_socks,
}
KEYWORDS = {"local": "localforward", "remote": "remoteforward", "socks": "dynamicforward"}


def forwards_of_ssh_g(option: str, spec: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("ssh"), "-F", "none", "-G", option, spec, "host"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def format_as_ssh(forward: Forward) -> str:
    line = f"{KEYWORDS[kind_of(forward)]} {format_listen_address(forward.listen)}"
    if kind_of(forward) == "socks":
        return line
    target = target_of(forward)
    return f"{line} {'[socks]:0' if target is None else format_address(target)}"


def format_listen_address(address: Address) -> str:
    if isinstance(address, UnixAddress) or address.host != LOOPBACK:
        return format_address(address)
    return str(address.port)


def format_address(address: Address) -> str:
    if isinstance(address, UnixAddress):
        return address.path
    return f"[{address.host}]:{address.port}"


@pytest.mark.parametrize(
    ("option", "spec"),
    [
        ("-L", "8080:db.internal:80"),
        ("-L", "127.0.0.1:8080:db.internal:80"),
        ("-L", "*:8080:db.internal:80"),
        ("-L", ":8080:db.internal:80"),
        ("-L", "[::1]:8080:[2001:db8::1]:80"),
        ("-L", "8080:/run/db.sock"),
        ("-L", "[::1]:8080:/run/db.sock"),
        ("-L", "/tmp/own.sock:/run/db.sock"),
        ("-L", "/tmp/own.sock:db.internal:80"),
        ("-L", "[/tmp/at:12.sock]:db.internal:80"),
        ("-R", "0:db.internal:80"),
        ("-R", "*:2222:[::1]:22"),
        ("-R", "/tmp/own.sock:/run/db.sock"),
        ("-R", "1080"),
        ("-R", "[::]:0"),
        ("-R", "/tmp/socks.sock"),
        ("-D", "1080"),
        ("-D", ":1080"),
        ("-D", "[::1]:1080"),
        ("-D", "/tmp/socks.sock"),
        ("-L", r"/tmp/a\:b\\c:db.internal:80"),
        ("-L", r"[/tmp/a\b]:db.internal:80"),
        ("-L", " 8080:db.internal:80"),
    ],
)
def test_a_spec_is_parsed_as_by_ssh_g(option: str, spec: str) -> None:
    printed = forwards_of_ssh_g(option, spec).stdout.replace("[]:", f"[{EVERY_INTERFACE}]:")

    assert format_as_ssh(PARSERS[option](spec)) in printed.splitlines()


@pytest.mark.parametrize(
    ("option", "spec"),
    [
        ("-L", "8080"),
        ("-L", "0:db.internal:80"),
        ("-L", "8080:db.internal:0"),
        ("-L", "8080:db.internal:65536"),
        ("-L", "/tmp/own.sock"),
        ("-L", "/tmp/own.sock:80"),
        ("-L", "8080:[::1:80"),
        ("-L", "8080:[::1]80"),
        ("-R", "8080:db.internal:0"),
        ("-D", "0"),
        ("-L", "8080:/tmp/a\\"),
        ("-D", "1080:db.internal:80"),
    ],
)
def test_a_spec_that_ssh_rejects_is_rejected(option: str, spec: str) -> None:
    assert forwards_of_ssh_g(option, spec).returncode != 0
    with pytest.raises(SpecError):
        PARSERS[option](spec)
