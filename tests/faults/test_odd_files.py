"""Named files that are FIFOs or endless devices: they stop neither a program nor other tunnels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, host_table, tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.expectation import MARGIN
from tests.relay.relay_process import RelayProcess, add_known_host, start_relay

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox

PLACES = {
    "key": ('identity_files = "{fifo}"', "auth"),
    "endless": ('identity_files = "{zero}"', "auth"),
    "known": ('known_hosts = "{fifo}"', "answer_needed"),
    "revoked": ('revoked_host_keys = "{fifo}"', "host_key_unknown"),
    "certificate": ('certificate_files = "{fifo}"', None),
    "public": ('identity_files = "{key_with_fifos}"', None),
}
"""A line for each kind of file, and the cause of the failure; None if ssh would log in without."""


def odd_files(sandbox: Sandbox) -> dict[str, Path]:
    folder = sandbox.subdirectory("odd")
    files = {name: folder / name for name in ("fifo", "zero", "key_with_fifos")}
    os.mkfifo(files["fifo"], 0o600)
    files["zero"].symlink_to("/dev/zero")
    shutil.copy(sandbox.key, files["key_with_fifos"])
    for suffix in (".pub", "-cert.pub"):
        os.mkfifo(f"{files['key_with_fifos']}{suffix}")
    return files


def program_with_odd_files(sandbox: Sandbox) -> tuple[Program, int]:
    """Create a program with a good tunnel and one for each place. Return it and a good port."""
    server, port, files = sandbox.sshd(), free_port(), odd_files(sandbox)
    tables = [tunnel_table("good", server.port, f'local = "{port}:{sandbox.service(echo)}"')]
    for name, (line, _) in PLACES.items():
        tables += [
            host_table(f"h{name}", server.port, line.format_map(files)),
            tunnel_table(name, f"h{name}", f'socks = "{free_port()}"'),
        ]
    return sandbox.program(*tables), port


def test_odd_files_affect_their_own_tunnels_only(sandbox: Sandbox) -> None:
    program, port = program_with_odd_files(sandbox)
    program.up()

    program.wait_until_up("good", within=MARGIN)
    for name, (_, cause) in PLACES.items():
        program.wait_for_state(name, "blocked" if cause else "up", cause, within=MARGIN)
    assert exchange(port, b"data") == b"data"
    assert "not a regular file" in program.succeed("logs", "key")
    assert program.stop(signal.SIGTERM) == 0


def test_check_names_odd_files(sandbox: Sandbox) -> None:
    program, _ = program_with_odd_files(sandbox)

    checked = program.run("check")

    assert checked.returncode == 2
    lines = (checked.stdout + checked.stderr).splitlines()
    for name in ("key", "endless", "known", "revoked", "certificate"):
        assert [x for x in lines if f"hosts.h{name}." in x and "not a regular file" in x], lines


def test_a_config_file_that_becomes_a_fifo_is_refused(sandbox: Sandbox) -> None:
    port = free_port()
    local = f'local = "{port}:{sandbox.service(echo)}"'
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, local))
    program.up()
    program.wait_until_up()
    program.config.unlink()
    os.mkfifo(program.config)

    for command in ("reload", "check"):
        refused = program.run(command)
        assert refused.returncode != 0
        assert "not a regular file" in refused.stdout + refused.stderr
    assert exchange(port, b"data") == b"data"
    assert program.stop() == 0


def test_an_import_from_a_fifo_is_refused(sandbox: Sandbox) -> None:
    fifo = sandbox.directory / "autossh.service"
    os.mkfifo(fifo)
    program = sandbox.program(head=f'[supervisor]\nssh_config = "{fifo}"\n')

    for source in (["unit", str(fifo)], ["crontab", str(fifo)], ["ssh-config"]):
        refused = program.run("import", *source)
        assert refused.returncode != 0
        assert "not a regular file" in refused.stdout + refused.stderr, source


# -- relay -----------------------------------------------------------------------------------------


def login(sandbox: Sandbox, port: int, user: str) -> subprocess.CompletedProcess[str]:
    command = sandbox.ssh(port, f"{user}@127.0.0.1", "true")
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_odd_authorized_keys_lock_out_their_own_user_only(sandbox: Sandbox) -> None:
    keys = sandbox.subdirectory("keys")
    (keys / "alice").write_text(f"{public(sandbox.key)}\n")
    os.mkfifo(keys / "bob")
    (keys / "eve").symlink_to("/dev/zero")
    relay = RelayProcess(sandbox.subdirectory("r"), keys / "%u", limits={"penalties": False})
    sandbox.add_cleanup(relay.close)
    relay.start()
    add_known_host(sandbox, relay)

    for user in ("bob", "eve"):
        assert "Permission denied" in login(sandbox, relay.port, user).stderr
    assert "Permission denied" not in login(sandbox, relay.port, "alice").stderr
    assert relay.log().count("cannot read authorized keys: ") == 2
    warned = relay.run("check", "--config", str(relay.config))
    assert (warned.stdout + warned.stderr).count("not a regular file") == 2
    assert relay.end() == 0


def test_a_relay_config_that_becomes_a_fifo_is_refused(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox)
    relay.config.unlink()
    os.mkfifo(relay.config)

    refused = relay.run("reload", "--config", str(relay.config))
    assert "not a regular file" in refused.stdout + refused.stderr
    relay.send_signal(signal.SIGHUP)
    wait_until(lambda: "not a regular file" in relay.log(), MARGIN)

    assert "Permission denied" not in login(sandbox, relay.port, USER).stderr
    assert relay.end() == 0


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_host_key_that_is_a_fifo_is_refused(sandbox: Sandbox, command: str) -> None:
    relay = start_relay(sandbox)
    relay.end()
    key = relay.directory / "relay_host_key"
    key.unlink()
    os.mkfifo(key, 0o600)

    refused = relay.run(command, "--config", str(relay.config))

    assert refused.returncode == 2
    assert f"{key}: not a regular file" in refused.stdout + refused.stderr
