"""A full disk and a read-only disk: tunnels keep working, and missing writes are made up for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.expectation import MARGIN
from tests.faults.scenario import QUICK
from tests.requirements import absent, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox


@pytest.fixture
def disk(sandbox: Sandbox) -> Iterator[Path]:
    """Mount a small file system."""
    if os.geteuid() != 0:
        absent("mounting a file system needs root")
    mount_point = sandbox.subdirectory("disk")
    mount = [require("mount"), "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount_point)]
    subprocess.run(mount, check=True)
    try:
        yield mount_point
    finally:
        subprocess.run([require("umount"), "-l", str(mount_point)], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill the disk inside the context."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Mount the disk read-only inside the context."""
    remount = [require("mount"), "-o"]
    subprocess.run([*remount, "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run([*remount, "remount,rw", str(disk)], check=True)


def program_accepting_new_keys(
    sandbox: Sandbox, disk: Path, server_port: int, local: int, target: object
) -> Program:
    """Create a program that accepts new host keys into a known_hosts on the disk."""
    known_hosts = f'known_hosts = "{disk / "known_hosts"}"'
    policy = 'host_key_policy = "accept-new"'
    forward = f'local = "{local}:{target}"'
    return sandbox.program(tunnel_table("t", server_port, *QUICK, forward, known_hosts, policy))


def test_a_host_key_that_a_full_disk_rejects_is_saved_later(sandbox: Sandbox, disk: Path) -> None:
    port, server = free_port(), sandbox.sshd(known=False)
    program = program_accepting_new_keys(sandbox, disk, server.port, port, sandbox.service(echo))
    known_hosts = disk / "known_hosts"
    with full(disk):
        program.up()
        program.wait_until_up(within=MARGIN)
        assert exchange(port, b"with a full disk") == b"with a full disk"
        assert "could not be saved" in program.succeed("logs", "t")
        assert not known_hosts.exists() or not known_hosts.read_bytes()

    program.succeed("restart", "t")

    wait_until(lambda: known_hosts.exists() and known_hosts.read_bytes(), MARGIN)
    program.wait_until_up(within=MARGIN)
    assert known_hosts.read_text().count("\n") == 1


def test_a_read_only_disk_does_not_affect_a_tunnel(sandbox: Sandbox, disk: Path) -> None:
    port, server = free_port(), sandbox.sshd(known=False)
    program = program_accepting_new_keys(sandbox, disk, server.port, port, sandbox.service(echo))
    program.up()
    program.wait_until_up(within=MARGIN)
    with read_only(disk):
        assert exchange(port, b"read only") == b"read only"
        server.kill()
        server.start()
        program.wait_for("t", lambda tunnel: tunnel.restarts == 1, within=MARGIN)
        assert exchange(port, b"read only", MARGIN) == b"read only"


def test_an_unwritable_log_stops_nothing_and_continues_later(sandbox: Sandbox, disk: Path) -> None:
    port, server, service = free_port(), sandbox.sshd(), sandbox.service(echo)
    program = sandbox.program(tunnel_table("t", server.port, *QUICK, f'local = "{port}:{service}"'))
    program._log = disk / "up.log"
    program.up()
    program.wait_until_up(within=MARGIN)
    with full(disk):
        program.succeed("restart", "t")
        program.wait_until_up(within=MARGIN)
        assert exchange(port, b"unwritten", MARGIN) == b"unwritten"
        assert "up: " in program.succeed("logs", "t")
    before = program.log()
    program.succeed("restart", "t")
    wait_until(lambda: program.log() != before, MARGIN, "the log was not continued")
    with full(disk):
        assert program.stop(signal.SIGTERM) == 0
