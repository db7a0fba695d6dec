"""A relay with sockets from a service manager."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import connected, is_listening, receive_exactly
from tests.e2e.program import COMMAND
from tests.e2e.waiting import wait_until
from tests.relay.relay_process import RelayProcess
from tests.systemd.listener import listening
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay.socket_activation import UnusableSocketError, check, mismatch_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_listening_tcp_socket_is_accepted(bound: socket.socket) -> None:
    check([bound])


def test_other_sockets_are_refused_with_the_setting_to_correct(bound: socket.socket) -> None:
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_connection(bound.getsockname()) as connection,
    ):
        for unusable, setting in (
            (unix, "ListenStream="),
            (udp, "ListenStream="),
            (connection, "Acc"),
        ):
            with pytest.raises(UnusableSocketError, match=setting):
                check([bound, unusable])


@pytest.mark.parametrize(
    ("configured", "passed"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["localhost"], ["127.0.0.1", "::1"]),
        (["localhost"], ["127.0.0.1"]),  # a machine without IPv6
        (["*"], ["::", "0.0.0.0"]),
    ],
)
def test_the_sockets_that_listen_describes_give_no_warning(
    configured: list[str], passed: list[str]
) -> None:
    assert mismatch_warning(
        [TcpAddress(h, 22) for h in configured], [TcpAddress(h, 22) for h in passed]
    ) is (None)


@pytest.mark.parametrize(
    ("configured", "passed"),
    [
        (["0.0.0.0"], ["127.0.0.1"]),
        (["127.0.0.1"], ["127.0.0.1", "192.0.2.1"]),
        (["127.0.0.1", "192.0.2.1"], ["127.0.0.1"]),
    ],
)
def test_other_sockets_give_a_warning_with_the_remedy(
    configured: list[str], passed: list[str]
) -> None:
    warning = mismatch_warning(
        [TcpAddress(h, 22) for h in configured], [TcpAddress(h, 22) for h in passed]
    )

    assert warning is not None
    assert f"{configured[0]}:22" in str(warning)
    assert "tunnelkeeper units install --kind relay" in str(warning)


def test_a_relay_serves_on_passed_sockets_and_notifies_readiness(
    sandbox: Sandbox, bound: socket.socket
) -> None:
    relay = RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys)
    port = bound.getsockname()[1]
    # The variables name the process that execs the relay, as systemd's child does.
    script = 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    with listening(str(sandbox.directory / "notify")) as service_manager:
        os.set_inheritable(bound.fileno(), True)
        process = subprocess.Popen(
            [
                *("bash", "-c", script, "bash", str(bound.fileno()), *COMMAND),
                *("relay", "serve", "--config", str(relay.config)),
            ],
            env={**relay.environment, "NOTIFY_SOCKET": service_manager.address},
            close_fds=False,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: service_manager.count("READY=1"), 30, "it is not ready")
            assert service_manager.status() == f"listens on 127.0.0.1:{port}"
            assert not is_listening(relay.port)
            with connected(port) as client:
                assert receive_exactly(client, 4) == b"SSH-"
        finally:
            process.terminate()
            _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "not on 127.0.0.1" in stderr
    relay.close()


def test_a_passed_file_that_is_not_a_socket_ends_the_relay_with_a_message(sandbox: Sandbox) -> None:
    relay = RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys)
    script = 'exec 3<"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    command = ["bash", "-c", script, "bash", "/dev/null", *COMMAND, "relay", "serve"]

    completed = subprocess.run(
        [*command, "--config", str(relay.config)],
        env=relay.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert completed.returncode == 1
    assert "Traceback" not in completed.stderr
    assert "socket" in completed.stderr.lower()
    relay.close()
