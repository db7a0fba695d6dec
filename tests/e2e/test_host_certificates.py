"""Certificates of hosts: ssh and tunnelkeeper accept the same servers.

A certificate that is not acceptable is judged by its plain key (check_host_key() of OpenSSH).
"""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from tests.e2e.keys import make_key, public
from tests.e2e.sandbox import USER, Sandbox, socks_tunnel
from tests.requirements import require
from tests.ssh.progress_recorder import ProgressRecorder
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sshd import Sshd

NAME = "127.0.0.1"
CERTIFICATES = {
    "good": ["-h", "-n", NAME],
    "for any host": ["-h"],
    "for several hosts": ["-h", "-n", f"a.example,{NAME}"],
    "for another host": ["-h", "-n", "elsewhere.example"],
    "expired": ["-h", "-n", NAME, "-V", "20000101:20010101"],
    "not yet valid": ["-h", "-n", NAME, "-V", "21000101:21010101"],
    "for users": ["-n", NAME],
    "with a critical option": ["-h", "-n", NAME, "-O", "critical:unknown=1"],
}
"""The options of ssh-keygen for each certificate."""

AUTHORITIES = ("known", "unknown", "revoked", "none")
"""The @cert-authority line: with the CA's key, with another one, also revoked, or absent."""

PLAIN_KEYS = ("known", "unknown", "changed", "revoked", "known without port")
Checking = Literal["yes", "no", "accept-new"]


@dataclass(frozen=True)
class Keys:
    """A server with a certificate, the CA that signed it, and a key that is neither."""

    server: Sshd
    key: Path
    authority: Path
    other: Path


def certified_server(sandbox: Sandbox, options: list[str], kind: str = "ed25519") -> Keys:
    folder = sandbox.directory
    authority, key = make_key(folder / "authority", kind), make_key(folder / "certified", kind)
    command = [require("ssh-keygen"), "-q", "-s", str(authority), "-I", "host", *options]
    subprocess.run([*command, f"{key}.pub"], check=True)
    server = sandbox.sshd(known=False, HostKey=str(key), HostCertificate=f"{key}-cert.pub")
    return Keys(server, key, authority, make_key(folder / "other", kind))


def known_hosts_lines(keys: Keys, authority: str, plain: str) -> list[str]:
    """Return the lines of known_hosts for one row of the table."""
    name = f"[{NAME}]:{keys.server.port}"
    lines = {
        "known": [f"@cert-authority {name} {public(keys.authority)}"],
        "unknown": [f"@cert-authority {name} {public(keys.other)}"],
        "revoked": [
            f"@cert-authority {name} {public(keys.authority)}",
            f"@revoked {name} {public(keys.authority)}",
        ],
        "none": [],
    }[authority]
    lines += {
        "known": [f"{name} {public(keys.key)}"],
        "unknown": [],
        "changed": [f"{name} {public(keys.other)}"],
        "revoked": [f"{name} {public(keys.key)}", f"@revoked {name} {public(keys.key)}"],
        "known without port": [f"{NAME} {public(keys.key)}"],
    }[plain]
    return lines


def ssh_accepts(sandbox: Sandbox, port: int, known_hosts: Path, checking: Checking) -> bool:
    options = [f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=none"]
    options += [f"StrictHostKeyChecking={checking}", f"IdentityFile={sandbox.key}"]
    options += ["IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=FATAL"]
    flags = [part for option in options for part in ("-o", option)]
    command = [require("ssh"), "-F", "none", *flags, "-p", str(port), f"{USER}@{NAME}", "true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


async def cause_of_refusal(
    sandbox: Sandbox, port: int, known_hosts: Path, checking: Checking
) -> str:
    """Connect once. Return the cause of the failure, or "" if the host key is accepted."""
    host = Host(
        "server",
        NAME,
        USER,
        ports=(port,),
        identity_files=(str(sandbox.key),),
        identities_only=True,
        user_known_hosts=(str(known_hosts),),
        host_key_policy="strict" if checking == "yes" else "accept-new",
    )
    try:
        connection = await connect_hop(host, None, SshContext(), ProgressRecorder())
    except FailureError as failed:
        return failed.failure.cause
    await connection.close()
    return ""


def rows(certificate: str) -> list[tuple[str, str, Checking]]:
    """Return the rows of the table: all for two certificates, and the different ones for others."""
    if certificate in {"good", "for another host"}:
        strict = [(authority, plain) for authority in AUTHORITIES for plain in PLAIN_KEYS]
    else:
        strict = [("known", plain) for plain in PLAIN_KEYS]
    lenient: tuple[Checking, ...] = ("no", "accept-new")
    return [(*row, "yes") for row in strict] + [
        ("known", plain, checking) for plain in ("known", "unknown") for checking in lenient
    ]


@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_ssh_and_tunnelkeeper_accept_the_same_servers(sandbox: Sandbox, certificate: str) -> None:
    keys = certified_server(sandbox, CERTIFICATES[certificate])
    port, known_hosts = keys.server.port, sandbox.directory / "known"
    with_ssh, outcomes = {}, {}
    for row in rows(certificate):
        authority, plain, checking = row
        before = "".join(f"{line}\n" for line in known_hosts_lines(keys, authority, plain))
        known_hosts.write_text(before)
        cause = asyncio.run(cause_of_refusal(sandbox, port, known_hosts, checking))
        outcomes[row] = (not cause, known_hosts.read_text())
        known_hosts.write_text(before)
        accepted = ssh_accepts(sandbox, port, known_hosts, checking)
        with_ssh[row] = (accepted, known_hosts.read_text())
        is_known_otherwise = plain in {"changed", "revoked"} or authority == "revoked"
        changed = Cause.HOST_KEY_CHANGED if is_known_otherwise else Cause.HOST_KEY_UNKNOWN
        assert cause in {"", changed}, row

    assert outcomes == with_ssh


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_certificates_of_other_key_types_fall_back_too(sandbox: Sandbox, kind: str) -> None:
    keys = certified_server(sandbox, CERTIFICATES["expired"], kind)
    port, known_hosts = keys.server.port, sandbox.directory / "known"
    for plain in ("known", "unknown", "changed"):
        known_hosts.write_text("\n".join([*known_hosts_lines(keys, "known", plain), ""]))
        accepted = not asyncio.run(cause_of_refusal(sandbox, port, known_hosts, "yes"))

        assert accepted == ssh_accepts(sandbox, port, known_hosts, "yes") == (plain == "known")


def test_the_plain_key_ends_the_wait_for_a_better_certificate(sandbox: Sandbox) -> None:
    keys = certified_server(sandbox, CERTIFICATES["expired"])
    name = f"[{NAME}]:{keys.server.port}"
    sandbox.add_known_host(name, public(keys.authority), marker="@cert-authority")
    program = sandbox.program(socks_tunnel("t", keys.server.port))
    program.up()

    blocked = program.wait_for_state("t", "blocked", "answer_needed")

    assert blocked.failure is not None
    assert "it expired at 2001-01-01" in blocked.failure.message
    sandbox.add_known_host(name, public(keys.key))
    program.wait_until_up()
