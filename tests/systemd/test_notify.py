from __future__ import annotations

import errno
import os
import secrets
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.waiting import wait_until
from tests.systemd.listener import listening
from tunnelkeeper.systemd.notify import (
    ServiceManager,
    from_environment,
    is_waiting,
    reloading_assignments,
)

if TYPE_CHECKING:
    from pathlib import Path

PID = str(os.getpid())


@pytest.mark.parametrize("address", ["path", "abstract"])
def test_assignments_are_sent_as_one_message(address: str, tmp_path: Path) -> None:
    path = f"@tk-{secrets.token_hex(8)}" if address == "abstract" else str(tmp_path / "notify")
    with listening(path) as service_manager:
        from_environment({"NOTIFY_SOCKET": path}).notify("READY=1", "STATUS=1 of 1 up")

        assert service_manager.messages() == [["READY=1", "STATUS=1 of 1 up"]]


def test_messages_arrive_although_no_descriptor_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    path = str(tmp_path / "notify")
    with listening(path) as service_manager:
        client = service_manager.client()
        client.notify("READY=1")
        monkeypatch.setattr(socket, "socket", fail)
        client.notify("WATCHDOG=1")

        assert service_manager.messages() == [["READY=1"], ["WATCHDOG=1"]]


def test_a_manager_that_does_not_read_delays_nothing_and_gets_everything(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    before = set(threading.enumerate())
    with listening(path) as service_manager:
        client = service_manager.client()
        count = 0
        while set(threading.enumerate()) == before:  # until the queue of the socket is full
            client.notify(f"STATUS={count}")
            count += 1
        for more in range(count, count + 5):
            client.notify(f"STATUS={more}")

        expected = [[f"STATUS={number}"] for number in range(count + 5)]
        wait_until(lambda: service_manager.messages() == expected)


@pytest.mark.parametrize("address", ["", "/no/listener", "@no-listener"])
def test_notify_without_a_listener_does_nothing(address: str) -> None:
    ServiceManager(address).notify("READY=1")


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234", "http://x"])
def test_an_unsupported_address_is_ignored(address: str) -> None:
    assert not from_environment({"NOTIFY_SOCKET": address}).is_listening


def test_the_variables_are_removed_from_the_environment() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "10000000",
        "WATCHDOG_PID": PID,
        "LISTEN_PID": PID,
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "a:b",
        "HOME": "/home/me",
    }

    assert is_waiting(environment)
    assert from_environment(environment) == ServiceManager(
        "/run/notify", watchdog=10.0, descriptors=(3, 4)
    )
    assert environment == {"HOME": "/home/me"}
    assert from_environment(environment) == ServiceManager()


def test_variables_for_another_process_are_ignored() -> None:
    manager = from_environment(
        {
            "WATCHDOG_USEC": "10000000",
            "WATCHDOG_PID": "1",
            "LISTEN_PID": "1",
            "LISTEN_FDS": "2",
        }
    )

    assert manager == ServiceManager()
    assert from_environment({"LISTEN_FDS": "2"}) == ServiceManager()  # LISTEN_PID is required
    assert from_environment({"WATCHDOG_USEC": "2000000"}).watchdog == 2.0


@given(st.text(), st.text())
def test_invalid_numbers_are_ignored(watchdog: str, count: str) -> None:
    manager = from_environment({"WATCHDOG_USEC": watchdog, "LISTEN_FDS": count, "LISTEN_PID": PID})

    assert manager.watchdog >= 0
    assert len(manager.descriptors) <= 1024


def test_a_reload_is_announced_with_its_time() -> None:
    state, time = reloading_assignments()

    assert state == "RELOADING=1"
    assert int(time.removeprefix("MONOTONIC_USEC=")) > 0


def test_passed_sockets_are_used_and_not_inherited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        descriptor = os.dup(bound.fileno())
        os.set_inheritable(descriptor, True)
        [passed] = ServiceManager(descriptors=(descriptor,)).sockets()
        with passed:
            assert passed.getsockname() == bound.getsockname()
            assert not passed.get_inheritable()
            assert not passed.getblocking()


def test_a_descriptor_that_is_not_a_socket_is_refused() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="socket"):
            ServiceManager(descriptors=(reading,)).sockets()
    finally:
        os.close(reading)
        os.close(writing)


def test_children_do_not_inherit_the_variables() -> None:
    """Check the real environment of a child, not only the mapping."""
    script = (
        "import os; from tunnelkeeper.systemd.notify import from_environment; "
        "from_environment(os.environ); "
        "os.execvp('env', ['env'])"
    )
    environment = {**os.environ, "NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "LISTEN_FDS": "1"}

    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    assert "NOTIFY_SOCKET" not in done.stdout
    assert "WATCHDOG" not in done.stdout
    assert "LISTEN_" not in done.stdout
