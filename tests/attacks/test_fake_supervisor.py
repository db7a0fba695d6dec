"""A program of another user that listens where a supervisor's client looks for its supervisor.

It would be believed, and it would learn what the client sends. Nothing may be sent to it.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Tool, tool
from tests.requirements import require_root
from tunnelkeeper.control import async_client
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import UntrustedSocketError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tool"]

ATTACKER = 65534
VICTIM = 65533
TIMEOUT = 10.0


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder like /tmp, in which the attacker was first."""
    require_root()
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Have the rights of a user. The system keeps the user who called listen(2)."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def fake_supervisor(path: Path, owner: int = ATTACKER) -> Iterator[socket.socket]:
    """Listen as the attacker on a socket file that belongs to `owner`."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(TIMEOUT)
        listener.bind(str(path))
        os.chown(path, owner, owner)
        path.chmod(0o777)
        with acting_as(ATTACKER):
            listener.listen()
        yield listener


def assert_nothing_was_sent(listener: socket.socket) -> None:
    """Check that a client that has given up sent no byte, if it connected at all."""
    listener.setblocking(False)
    with suppress(BlockingIOError):
        connection, _ = listener.accept()
        with connection:
            connection.setblocking(False)
            assert connection.recv(1000) == b""


@pytest.mark.parametrize(
    "command", [["status"], ["logs"], ["wait", "db"], ["down"], ["connect", "db", "db:5432"]]
)
def test_commands_do_not_use_a_socket_of_another_user(
    tool: Tool, shared: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.delenv("TUNNELKEEPER_SOCKET")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    path = shared / "tunnelkeeper" / "control.sock"
    path.parent.mkdir()
    os.chown(path.parent, ATTACKER, ATTACKER)

    with fake_supervisor(path) as listener:
        done = tool(*command)

        assert_nothing_was_sent(listener)

    assert done.code == ExitCode.NO_SUPERVISOR
    assert f"{path} is not trusted: {path.parent} belongs to nobody (uid 65534)" in done.err


@pytest.mark.parametrize("victim", [0, VICTIM])
def test_a_client_refuses_a_socket_of_another_user_in_a_shared_folder(
    shared: Path, victim: int
) -> None:
    path = shared / "control.sock"

    with fake_supervisor(path) as listener:
        with (
            acting_as(victim),
            pytest.raises(UntrustedSocketError, match=r"control\.sock belongs to nobody"),
        ):
            Client(path, TIMEOUT, is_named=victim != 0)

        assert_nothing_was_sent(listener)


def test_a_client_refuses_a_process_of_another_user(shared: Path) -> None:
    path = shared / "control.sock"

    with fake_supervisor(path, owner=0) as listener:
        with pytest.raises(UntrustedSocketError, match=r"a process of nobody .* listens there"):
            Client(path, TIMEOUT, is_named=True)

        assert_nothing_was_sent(listener)


def test_a_client_does_not_follow_a_link_of_another_user(shared: Path) -> None:
    (shared / "real").mkdir()
    (shared / "link").symlink_to(shared / "real")
    os.lchown(shared / "link", ATTACKER, ATTACKER)

    with fake_supervisor(shared / "real" / "control.sock", owner=0) as listener:
        with pytest.raises(UntrustedSocketError, match="is a symbolic link that belongs to nobody"):
            Client(shared / "link" / "control.sock", TIMEOUT)

        assert_nothing_was_sent(listener)


def test_a_client_refuses_a_folder_in_which_others_can_replace_the_socket(shared: Path) -> None:
    shared.chmod(0o777)
    path = shared / "control.sock"

    with fake_supervisor(path, owner=0) as listener:
        with pytest.raises(UntrustedSocketError, match="can be written by others"):
            Client(path, TIMEOUT)

        assert_nothing_was_sent(listener)


async def test_the_dashboard_refuses_a_process_of_another_user(shared: Path) -> None:
    path = shared / "control.sock"

    with fake_supervisor(path, owner=0) as listener:
        with pytest.raises(UntrustedSocketError, match=r"a process of nobody .* listens there"):
            await async_client.call(path, "status", TIMEOUT)

        assert_nothing_was_sent(listener)


def test_root_may_name_the_socket_of_a_user(shared: Path) -> None:
    path = shared / "control.sock"

    with fake_supervisor(path):
        Client(path, TIMEOUT, is_named=True).close()
