from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.systemd.listener import listening
from tunnelkeeper.systemd.notify import (
    ServiceManager,
    from_environment,
    is_waiting,
    reloading_assignments,
)

if TYPE_CHECKING:
    from pathlib import Path

US = str(os.getpid())


@pytest.mark.parametrize("address", ["path", "abstract"])
def test_what_is_told_arrives_as_one_message(address: str, tmp_path: Path) -> None:
    where = f"@tk-{secrets.token_hex(8)}" if address == "abstract" else str(tmp_path / "notify")
    with listening(where) as service_manager:
        from_environment({"NOTIFY_SOCKET": where}).notify("READY=1", "STATUS=1 of 1 up")

        assert service_manager.heard() == [["READY=1", "STATUS=1 of 1 up"]]


@pytest.mark.parametrize("address", ["", "/nobody/listens/here", "@nobody-listens-here"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    ServiceManager(address).notify("READY=1")


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234", "http://x"])
def test_an_address_of_another_kind_is_nobodys(address: str) -> None:
    assert not from_environment({"NOTIFY_SOCKET": address}).is_listening


def test_its_variables_are_taken_away_from_children() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "10000000",
        "WATCHDOG_PID": US,
        "LISTEN_PID": US,
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


def test_what_is_meant_for_another_process_is_not_taken() -> None:
    taken = from_environment(
        {
            "WATCHDOG_USEC": "10000000",
            "WATCHDOG_PID": "1",
            "LISTEN_PID": "1",
            "LISTEN_FDS": "2",
        }
    )

    assert taken == ServiceManager()
    assert from_environment({"LISTEN_FDS": "2"}) == ServiceManager()  # LISTEN_PID must be there
    assert from_environment({"WATCHDOG_USEC": "2000000"}).watchdog == 2.0


@given(st.text(), st.text())
def test_no_number_is_read_into_nonsense(watchdog: str, count: str) -> None:
    taken = from_environment({"WATCHDOG_USEC": watchdog, "LISTEN_FDS": count, "LISTEN_PID": US})

    assert taken.watchdog >= 0
    assert len(taken.descriptors) <= 1024


def test_a_reload_is_told_with_its_time() -> None:
    said, when = reloading_assignments()

    assert said == "RELOADING=1"
    assert int(when.removeprefix("MONOTONIC_USEC=")) > 0


def test_sockets_that_were_handed_over_are_listened_on_and_not_inherited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        descriptor = os.dup(bound.fileno())
        os.set_inheritable(descriptor, True)
        [mine] = ServiceManager(descriptors=(descriptor,)).sockets()
        with mine:
            assert mine.getsockname() == bound.getsockname()
            assert not mine.get_inheritable()
            assert not mine.getblocking()


def test_a_descriptor_that_is_no_socket_is_refused() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="socket"):
            ServiceManager(descriptors=(reading,)).sockets()
    finally:
        os.close(reading)
        os.close(writing)


def test_the_program_tells_nobody_of_a_manager_that_its_parent_had() -> None:
    """The variables are gone from the process's own environment, which is what children get."""
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
