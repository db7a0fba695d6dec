"""Every option of authorized_keys with the real ssh: permitted and refused requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import certify_user, make_key
from tests.e2e.ports import free_port
from tests.e2e.services import Service, echo
from tests.relay.openssh_client import GREETING, Ssh
from tests.relay.relay_process import USER, RelayProcess, authorized_keys_line, start_relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox


@pytest.fixture(scope="module")
def service(shared_sandbox: Sandbox) -> Service:
    return shared_sandbox.service(echo)


@pytest.fixture(scope="module")
def relay(shared_sandbox: Sandbox) -> Iterator[RelayProcess]:
    folder = shared_sandbox.directory / "sockets"
    folder.mkdir(mode=0o700)
    relay = start_relay(
        shared_sandbox,
        permit_open=["*:*", "127.0.0.1:*", "localhost:*", "[::1]:*"],
        unix_socket_dir=str(folder),
        limits={"penalties": False},
    )
    yield relay
    assert "Traceback" not in relay.log()


@pytest.fixture
def ssh(shared_sandbox: Sandbox, relay: RelayProcess) -> Iterator[Ssh]:
    with Ssh(shared_sandbox, relay) as ssh:
        yield ssh


def allow(ssh: Ssh, options: str, **ports: object) -> None:
    """Replace authorized_keys with one line, which the relay reads at the next login."""
    line = authorized_keys_line(ssh.sandbox.key, options.format(sockets=sockets_of(ssh), **ports))
    ssh.sandbox.authorized_keys.write_text(line)


def sockets_of(ssh: Ssh) -> Path:
    return ssh.sandbox.directory / "sockets"


def can_log_in(ssh: Ssh, key: Path | None = None) -> bool:
    return GREETING in ssh.run(key=key).stderr


def can_open(ssh: Ssh, target: object) -> bool:
    completed = ssh.run("-W", str(target), text="open")
    assert completed.stdout == "open" or "stdio forwarding failed" in completed.stderr, completed
    return completed.stdout == "open"


def can_listen(ssh: Ssh, address: object) -> bool:
    completed = ssh.run("-R", f"{address}:127.0.0.1:9")
    assert GREETING in completed.stderr or "forwarding failed" in completed.stderr, completed
    return GREETING in completed.stderr


@pytest.mark.parametrize(
    ("options", "forwards"),
    [
        ("", True),
        ("restrict", False),
        ("no-port-forwarding", False),
        ("restrict,port-forwarding", True),
        ("port-forwarding,restrict", False),
        ("no-pty,no-X11-forwarding,no-agent-forwarding,no-user-rc", True),
        ('command="uptime"', True),
        ('environment="A=B"', True),
    ],
)
def test_restrict_and_port_forwarding(
    ssh: Ssh, service: Service, options: str, forwards: bool
) -> None:
    allow(ssh, options)

    assert can_log_in(ssh)
    assert can_open(ssh, service) == forwards
    assert can_listen(ssh, free_port()) == forwards


@pytest.mark.parametrize(
    ("option", "permitted"),
    [
        ("127.0.0.1:{port}", True),
        ("127.0.0.1:*", True),
        ("*:{port}", True),
        ("*:*", True),
        ("[::1]:{port}", False),
        ("localhost:{port}", False),  # a host is compared literally
        ("127.0.0.1:1", False),
        ("*:1", False),
    ],
)
def test_permitopen(ssh: Ssh, service: Service, option: str, permitted: bool) -> None:
    allow(ssh, f'permitopen="{option}"', port=service.port)

    assert can_open(ssh, service) == permitted
    assert can_listen(ssh, free_port())


@pytest.mark.parametrize(
    ("option", "permitted"),
    [
        ("{port}", True),
        ("localhost:{port}", True),
        ("*:{port}", True),
        ("*", True),
        ("localhost:*", True),
        ("127.0.0.1:{port}", False),  # a client that names no host requests localhost
        ("[::1]:{port}", False),
        ("1", False),
    ],
)
def test_permitlisten(ssh: Ssh, service: Service, option: str, permitted: bool) -> None:
    port = free_port()
    allow(ssh, f'permitlisten="{option}"', port=port)

    assert can_listen(ssh, port) == permitted
    assert can_open(ssh, service)


def test_several_permits_allow_everything_that_they_name(ssh: Ssh) -> None:
    first, second, third = free_port(), free_port(), free_port()
    allow(ssh, f'permitlisten="{first}",permitlisten="localhost:{second}"')

    assert [can_listen(ssh, port) for port in (first, second, third)] == [True, True, False]


def test_permits_for_paths(ssh: Ssh) -> None:
    first, second = sockets_of(ssh) / "one.sock", sockets_of(ssh) / "two.sock"
    allow(ssh, 'permitlisten="{sockets}/one.sock"')

    assert [can_listen(ssh, path) for path in (first, second)] == [True, False]
    assert not can_listen(ssh, free_port())


@pytest.mark.parametrize(
    ("option", "logged_in"),
    [
        ('from="127.0.0.1"', True),
        ('from="127.0.0.0/8"', True),
        ('from="127.*"', True),
        ('from="192.0.2.0/24"', False),
        ('from="!127.0.0.1,127.0.0.0/8"', False),
        ('from="127.0.0.0/8,!127.0.0.1"', False),
        ('from="!192.0.2.1,*"', True),
        ('expiry-time="20200101"', False),
        ('expiry-time="20990101"', True),
        ('expiry-time="soon"', False),
        ("no-such-option", False),
        ('permitopen="nowhere"', False),
        ("cert-authority", False),
    ],
)
def test_expiry_time_and_from(ssh: Ssh, option: str, logged_in: bool) -> None:
    allow(ssh, option)

    assert can_log_in(ssh) == logged_in


@pytest.mark.parametrize(
    ("options", "principal", "logged_in"),
    [
        ("cert-authority", USER, True),
        ("cert-authority", "staff", False),
        ('cert-authority,principals="staff"', "staff", True),
        ('cert-authority,principals="ops,staff"', "staff", True),
        ('cert-authority,principals="ops"', "staff", False),
        ('cert-authority,principals="ops"', USER, False),
        ("", USER, False),
    ],
)
def test_certificates(ssh: Ssh, options: str, principal: str, logged_in: bool) -> None:
    key = make_key(ssh.sandbox.subdirectory("certified") / "key")
    certify_user(ssh.sandbox.key, key, principal)
    allow(ssh, options)

    assert can_log_in(ssh, key) == logged_in


def test_the_first_line_of_a_key_counts(ssh: Ssh, service: Service) -> None:
    lines = authorized_keys_line(ssh.sandbox.key, "restrict") + authorized_keys_line(
        ssh.sandbox.key
    )
    ssh.sandbox.authorized_keys.write_text(lines)

    assert not can_open(ssh, service)


def test_a_malformed_line_is_skipped_with_a_warning(ssh: Ssh, relay: RelayProcess) -> None:
    lines = "ssh-ed25519 nonsense\n" + authorized_keys_line(ssh.sandbox.key)
    ssh.sandbox.authorized_keys.write_text(lines)

    assert can_log_in(ssh)
    assert f"{ssh.sandbox.authorized_keys}:1: " in relay.log()
