"""User units under a real `systemd --user`: install, quoting and uninstall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import connected, exchange, is_listening, receive_exactly
from tests.e2e.keys import make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo
from tests.e2e.systemd import UID
from tests.e2e.systemd_user import SystemdUser, forward
from tunnelkeeper.systemd.quoting import quote_command
from tunnelkeeper.systemd.unit_templates import RELAY, RELAY_SOCKET, SUPERVISOR

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

pytestmark = pytest.mark.timeout(300)


# -- from install to uninstall ---------------------------------------------------------------------


def test_install_starts_the_tunnels_and_uninstall_removes_everything(
    user: SystemdUser, port: int
) -> None:
    output = user.install("--now")

    assert f"wrote {user.machine.units / SUPERVISOR}" in output
    assert "loginctl enable-linger" in output
    assert exchange(port, b"through systemd") == b"through systemd"
    shown = user.machine.systemctl("status", SUPERVISOR)
    assert "active (running)" in shown
    assert 'Status: "1 of 1 up"' in shown
    assert user.machine.property(SUPERVISOR, "UnitFileState") == "enabled"

    done = user.machine.tunnelkeeper("units", "uninstall")

    assert (done.returncode, done.stderr) == (0, "")
    assert not is_listening(port)
    assert [path for path in user.machine.units.rglob("*") if not path.is_dir()] == []
    assert user.machine.property(SUPERVISOR, "LoadState") == "not-found"


def test_systemctl_stop_ends_the_service_cleanly(user: SystemdUser, port: int) -> None:
    user.install("--now")

    user.machine.systemctl("stop", SUPERVISOR)

    assert not is_listening(port)
    assert user.machine.property(SUPERVISOR, "Result") == "success"
    assert user.machine.property(SUPERVISOR, "ExecMainStatus") == "0"
    assert not (user.machine.runtime / "tunnelkeeper" / "control.sock").exists()


def test_a_foreign_unit_is_neither_replaced_nor_removed(user: SystemdUser, port: int) -> None:
    foreign = user.machine.write(user.machine.units / SUPERVISOR, "[Service]\nExecStart=true\n")

    done = user.machine.tunnelkeeper("units", "install")

    assert done.returncode == 1
    assert "was not written by tunnelkeeper" in done.stderr
    assert user.machine.tunnelkeeper("units", "uninstall").returncode == 0
    assert foreign.read_text() == "[Service]\nExecStart=true\n"


def test_a_credential_unlocks_a_key_with_no_one_present(
    user: SystemdUser, sandbox: Sandbox
) -> None:
    port, server = free_port(), sandbox.sshd()
    key = make_key(sandbox.directory / "id_locked", passphrase="one two three")
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(key) + "\n")
    locked = user.machine.write(user.machine.home / "id_locked", key.read_text())
    locked.chmod(0o600)
    user.machine.write(user.machine.home / "id_locked.pub", f"{public(key)}\n")
    secret = user.machine.write(user.machine.home / "pass phrase", "one two three\n")
    secret.chmod(0o600)
    table = (f'identity_files = "{locked}"', forward(sandbox, port))
    user.write_config(tunnel_table("db", server.port, *table))

    needs = user.install()
    user.install("--now", "--credential", f"passphrase-id_locked:{secret}")

    assert f"the key {locked} is encrypted: set passphrase_command, or pass --credential" in needs
    assert exchange(port, b"with a credential") == b"with a credential"


def test_an_invalid_config_file_installs_nothing(user: SystemdUser) -> None:
    user.machine.write(user.config, "[tunnels.db]\nhots = 'x'\n")

    done = user.machine.tunnelkeeper("units", "install", "--now")

    assert done.returncode == 2
    assert "did you mean 'host'" in done.stderr
    assert not (user.machine.units / SUPERVISOR).exists()


# -- a unit for each tunnel ------------------------------------------------------------------------


def test_each_tunnel_can_have_its_own_unit(user: SystemdUser, sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    ports = {name: free_port() for name in ("a.b-c_d", "Z-", "x" * 64)}
    tables = [tunnel_table(f'"{n}"', server.port, forward(sandbox, p)) for n, p in ports.items()]
    user.write_config(*tables, tunnel_table("other", server.port, f'socks = "{free_port()}"'))

    user.install("--now", "--per-tunnel", *ports)

    for name, port in ports.items():
        unit = f"tunnelkeeper@{name}.service"
        assert exchange(port, name.encode()) == name.encode()
        assert user.machine.property(unit, "StatusText") == "1 of 1 up"
    socket = f"/run/user/{UID}/tunnelkeeper@Z-/socket"
    output = user.machine.tunnelkeeper("--socket", socket, "status", "--json", "Z-")
    assert '"state": "up"' in output.stdout

    user.machine.systemctl("stop", "tunnelkeeper@Z-.service")
    assert not is_listening(ports["Z-"])
    assert is_listening(ports["a.b-c_d"])
    assert user.machine.tunnelkeeper("units", "uninstall").returncode == 0
    assert not any(map(is_listening, ports.values()))
    assert [path for path in user.machine.units.rglob("*") if not path.is_dir()] == []


# -- the relay -------------------------------------------------------------------------------------


def test_socket_activation_starts_the_relay_and_restarts_it_after_a_kill(
    user: SystemdUser, sandbox: Sandbox
) -> None:
    relay_port, local = free_port(), free_port()
    directory = user.config.parent
    key = make_key(sandbox.directory / "host")
    host_key = user.machine.write(directory / "relay_host_key", key.read_text())
    host_key.chmod(0o600)
    user.machine.write(directory / "authorized_keys", sandbox.authorized_keys.read_text())
    user.machine.write(directory / "relay.toml", f'listen = "127.0.0.1:{relay_port}"\n')
    sandbox.add_known_host(f"[127.0.0.1]:{relay_port}", public(key))
    user.install("--kind", "relay")
    user.machine.systemctl("start", RELAY_SOCKET)
    assert user.machine.property(RELAY, "ActiveState") == "inactive"

    user.write_config(
        tunnel_table("out", relay_port, f'remote = "{local}:{sandbox.service(echo)}"')
    )
    user.install("--now", "--ready", "up")

    assert user.machine.property(RELAY, "StatusText") == f"listens on 127.0.0.1:{relay_port}"
    assert exchange(local, b"through the relay") == b"through the relay"
    user.machine.systemctl("reload", RELAY)

    user.machine.systemctl("stop", SUPERVISOR)
    before = user.main_pid(RELAY)
    user.machine.succeed("kill", "-KILL", str(before))
    with connected(relay_port, timeout=60) as client:
        assert receive_exactly(client, 4) == b"SSH-"
    assert user.main_pid(RELAY) not in {0, before}
    assert user.machine.tunnelkeeper("units", "uninstall").returncode == 0
    assert not is_listening(relay_port)


# -- quoting ---------------------------------------------------------------------------------------

SPECIAL_CHARACTERS = "-a b%n%%$HOME ${USER}'\"`\\x41;&*?#!~{}[]<>|=,@:+\N{SNOWMAN}\t."


def test_systemd_parses_quoted_arguments_unchanged(user: SystemdUser) -> None:
    arguments = [
        SPECIAL_CHARACTERS,
        ";",
        "",
        "-",
        "%",
        "$",
        "$$",
        "$HOME",
        "\\",
        '"',
        "'",
        "a\\\\",
        "\\x20",
        "é",
    ]
    directory = user.machine.home / "%h $HOME ${USER} ;&"
    program = user.machine.write(
        directory / "program", "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done > ~/words\n"
    )
    program.chmod(0o755)
    unit = f"[Service]\nType=oneshot\nExecStart={quote_command([str(program), *arguments])}\n"
    user.machine.write(user.machine.units / "special.service", unit)
    user.machine.systemctl("daemon-reload")

    user.machine.systemctl("start", "special.service")

    received = (user.machine.home / "words").read_text().split("\0")[:-1]
    assert received == arguments


def test_a_config_path_with_special_characters_is_found(
    user: SystemdUser, sandbox: Sandbox, port: int
) -> None:
    special = user.machine.write(
        user.machine.home / SPECIAL_CHARACTERS / f"{SPECIAL_CHARACTERS}.toml",
        user.config.read_text(),
    )
    user.config.unlink()

    done = user.machine.tunnelkeeper("--config", str(special), "units", "install", "--now")

    assert (done.returncode, done.stderr) == (0, "")
    assert exchange(port, b"data") == b"data"
    user.machine.systemctl("reload", SUPERVISOR)
