"""`connect` without a supervisor: a stream through its own connection to a real sshd."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, host_table, new_sandbox, tunnel_table
from tests.e2e.services import echo
from tunnelkeeper.oneshot import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.services import Service
    from tests.e2e.sshd import Sshd


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with new_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Sshd:
    return sandbox.sshd()


@pytest.fixture(scope="module")
def service(sandbox: Sandbox) -> Service:
    return sandbox.service(echo)


class FakePump:
    """A pump that sends a message and reads the reply until EOF."""

    def __init__(self, question: bytes = b"hello") -> None:
        self.question = question
        self.answer: bytes | None = None

    def __call__(self, sock: socket.socket) -> None:
        with sock:
            sock.sendall(self.question)
            sock.shutdown(socket.SHUT_WR)
            self.answer = b""
            while data := sock.recv(65536):
                self.answer += data


@pytest.fixture
def pump() -> FakePump:
    return FakePump()


def config(sandbox: Sandbox, *tables: str) -> str:
    file = sandbox.subdirectory("c") / "tunnels.toml"
    file.write_text(sandbox.config(*tables))
    return str(file)


def test_a_tunnel_name_connects_through_its_host(
    sandbox: Sandbox, server: Sshd, service: Service, pump: FakePump
) -> None:
    file = config(sandbox, tunnel_table("db", server.port, 'socks = "1080"'))

    assert connect.connect(file, "db", f"127.0.0.1:{service.port}", pump) == 0

    assert pump.answer == b"hello"


def test_a_tunnel_whose_forwards_ssh_config_forbids_connects_as_with_w(
    sandbox: Sandbox, server: Sshd, service: Service, pump: FakePump
) -> None:
    ssh_config = sandbox.subdirectory("s") / "ssh_config"
    ssh_config.write_text("ClearAllForwardings yes\n")
    file = sandbox.subdirectory("c") / "tunnels.toml"
    table = tunnel_table("db", server.port, 'socks = "1080"')
    file.write_text(sandbox.config(table, head=sandbox.head(f'"{ssh_config}"')))

    assert connect.connect(str(file), "db", f"127.0.0.1:{service.port}", pump) == 0

    assert pump.answer == b"hello"


def test_a_host_without_a_tunnel_can_be_named(
    sandbox: Sandbox, server: Sshd, service: Service, pump: FakePump
) -> None:
    file = config(sandbox, host_table("relay", server.port))

    assert connect.connect(file, "relay", f"127.0.0.1:{service.port}", pump) == 0

    assert pump.answer == b"hello"


def test_any_host_can_be_named_as_for_ssh(sandbox: Sandbox, server: Sshd, service: Service) -> None:
    pump = FakePump(b"x" * 1_000_000)
    reference = f"{USER}@127.0.0.1:{server.port}"

    assert connect.connect(config(sandbox), reference, f"127.0.0.1:{service.port}", pump) == 0

    assert pump.answer == pump.question


def test_a_target_that_refuses_is_reported_and_nothing_is_copied(
    sandbox: Sandbox, server: Sshd, pump: FakePump, capsys: pytest.CaptureFixture[str]
) -> None:
    file, target = config(sandbox, host_table("relay", server.port)), f"127.0.0.1:{free_port()}"

    assert connect.connect(file, "relay", target, pump) == 1

    output = capsys.readouterr()
    assert output.err.startswith(f"tunnelkeeper: relay: {target}: connect failed")
    assert output.out == ""
    assert pump.answer is None


def test_a_host_that_refuses_is_reported_with_a_hint(
    sandbox: Sandbox, pump: FakePump, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()

    assert connect.connect(config(sandbox), f"127.0.0.1:{port}", "localhost:80", pump) == 1

    assert capsys.readouterr().err == (
        f"tunnelkeeper: refused: {USER}@127.0.0.1:{port}: connection refused\n"
        "  hint: is the SSH server running, and is the port right?\n"
    )
    assert pump.answer is None


def test_without_a_config_file_ssh_config_is_used(
    tmp_path: Path, pump: FakePump, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"127.0.0.1:{free_port()}"

    assert connect.connect(str(tmp_path / "missing"), reference, "localhost:80", pump) == 1

    assert f"{reference}: connection refused" in capsys.readouterr().err


def test_a_failed_host_lookup_is_reported(
    sandbox: Sandbox, pump: FakePump, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config(sandbox, host_table("relay", 22, 'ciphers = "rot13"'))

    assert connect.connect(file, "relay", "localhost:80", pump) == 1

    output = capsys.readouterr().err
    assert output.startswith("tunnelkeeper: ")
    assert "rot13" in output


def test_an_invalid_host_is_reported(
    sandbox: Sandbox, pump: FakePump, capsys: pytest.CaptureFixture[str]
) -> None:
    assert connect.connect(config(sandbox), "user@host:port", "localhost:80", pump) == 1

    assert capsys.readouterr().err.count("\n") == 1


def test_every_problem_of_an_invalid_file_is_reported(
    sandbox: Sandbox, pump: FakePump, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config(sandbox, "[hosts.relay]\nprot = 22\nusre = 'me'\n")

    assert connect.connect(file, "relay", "localhost:80", pump) == 2

    assert capsys.readouterr().err.count(f"{file}:") == 2


def test_warnings_go_to_standard_error(
    sandbox: Sandbox,
    server: Sshd,
    service: Service,
    pump: FakePump,
    capsys: pytest.CaptureFixture[str],
) -> None:
    malformed = sandbox.subdirectory("k") / "known_hosts"
    malformed.write_text("relay ssh-ed25519 not-base64\n" + sandbox.known_hosts.read_text())
    table = host_table("relay", server.port, f'known_hosts = "{malformed}"')

    assert connect.connect(config(sandbox, table), "relay", f"127.0.0.1:{service.port}", pump) == 0

    output = capsys.readouterr()
    assert output.err.startswith(f"tunnelkeeper: {malformed}:1: ")
    assert output.out == ""


def test_a_failing_pump_leaves_no_connection_open(
    sandbox: Sandbox, server: Sshd, service: Service
) -> None:
    def fail(sock: socket.socket) -> None:
        sock.close()
        raise BrokenPipeError(32, "Broken pipe")

    file = config(sandbox, host_table("relay", server.port))

    with pytest.raises(BrokenPipeError):
        connect.connect(file, "relay", f"127.0.0.1:{service.port}", fail)
