"""Two servers with different keys behind one name, and logins to both at once with accept-new."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, new_key, public, serve
from tests.ssh.waiting import DEADLINE
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles, append_record
from tunnelkeeper.ssh.auth.new_host_keys import Conflict, NewHostKey, NewHostKeys
from tunnelkeeper.ssh.connect import ConnectAttempt, connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any, NoReturn

    import asyncssh

    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.ssh.connection import Connection

PROCESSES = 3


@asynccontextmanager
async def two_servers(folder: Path, *keys: asyncssh.SSHKey) -> AsyncIterator[tuple[Server, Server]]:
    """Run two servers; each accepts the key of the first one. keys: their host keys."""
    for name in ("a", "b"):
        (folder / name).mkdir()
    options: list[dict[str, Any]] = [{"server_host_keys": [key]} for key in keys] or [{}, {}]
    async with (
        serve(folder / "a", **options[0]) as first,
        serve(folder / "b", user_key=first.user_key, **options[1]) as second,
    ):
        yield first, second


def one_name(folder: Path, server: Server, **changes: Any) -> Host:
    """Return a server as the host `db`, whose keys are in a file of its own."""
    return server.host(
        host_key_alias="db",
        host_key_policy="accept-new",
        user_known_hosts=(str(folder / "known_hosts"),),
        **changes,
    )


@pytest.fixture
def _verified_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two logins find the name unknown before either saves a key."""
    both, save = asyncio.Barrier(2), ConnectAttempt._save_host_key

    async def wait_and_save(attempt: ConnectAttempt) -> None:
        await both.wait()
        await save(attempt)

    monkeypatch.setattr(ConnectAttempt, "_save_host_key", wait_and_save)


async def connect_both(*hosts: Host, contexts: int) -> tuple[list[Connection], list[Failure]]:
    """Connect to hosts at once. contexts: 1 if they share the caches of one supervisor."""
    shared = [SshContext() for _ in range(contexts)]
    attempts = [
        connect_hop(host, None, shared[number % contexts], ProgressRecorder())
        for number, host in enumerate(hosts)
    ]
    async with asyncio.timeout(DEADLINE):
        results = await asyncio.gather(*attempts, return_exceptions=True)
    failures = [result.failure for result in results if isinstance(result, FailureError)]
    connections: list[Any] = [r for r in results if not isinstance(r, BaseException)]
    assert len(failures) + len(connections) == len(hosts), results
    return connections, failures


@pytest.mark.usefixtures("_verified_at_once")
@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("changes", [{}, {"hash_known_hosts": True}])
async def test_only_one_of_two_keys_is_accepted_for_one_name(
    tmp_path: Path, contexts: int, changes: dict[str, Any]
) -> None:
    async with two_servers(tmp_path) as servers:
        hosts = [one_name(tmp_path, server, **changes) for server in servers]
        connections, failures = await connect_both(*hosts, contexts=contexts)

        [connection], [failure] = connections, failures
        [line] = (tmp_path / "known_hosts").read_text().splitlines()
        accepted, refused = servers if servers[0].logins else servers[::-1]
        assert public(accepted.host_key) in line
        assert failure.cause is Cause.HOST_KEY_CHANGED
        assert "known_hosts:1" in failure.message
        assert refused.logins == refused.offered == []  # nothing of a login was sent
        await connection.close()


@pytest.mark.usefixtures("_verified_at_once")
async def test_keys_of_different_types_are_two_keys_as_well(tmp_path: Path) -> None:
    keys = new_key(), new_key("ecdsa-sha2-nistp256")
    async with two_servers(tmp_path, *keys) as servers:
        hosts = [one_name(tmp_path, server) for server in servers]
        connections, failures = await connect_both(*hosts, contexts=1)

        [connection], [failure] = connections, failures
        assert len((tmp_path / "known_hosts").read_text().splitlines()) == 1
        assert failure.cause is Cause.HOST_KEY_CHANGED
        await connection.close()


async def test_a_server_with_several_keys_is_asked_for_the_one_that_another_login_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [new_key(), new_key("ecdsa-sha2-nistp256")]
    file = tmp_path / "known_hosts"
    save = ConnectAttempt._save_host_key

    async def save_after_another(attempt: ConnectAttempt) -> None:
        if not file.exists():
            file.write_text(f"db {public(keys[1])}\n")
        await save(attempt)

    monkeypatch.setattr(ConnectAttempt, "_save_host_key", save_after_another)
    async with serve(tmp_path, server_host_keys=keys) as server:
        connections, failures = await connect_both(one_name(tmp_path, server), contexts=1)

        assert (len(connections), failures) == (1, [])
        assert file.read_text() == f"db {public(keys[1])}\n"
        await connections[0].close()


WRITER = """
import asyncssh, sys
from tests.ssh.server import new_key
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.auth.new_host_keys import NewHostKey, NewHostKeys
host = Host("db", "db", "me", user_known_hosts=(sys.argv[1],))
new = NewHostKeys(host, 22, KnownHostsFiles(), [NewHostKey(new_key(), "db", None)])
print("ready", flush=True)
print(type(new.save()).__name__)
"""


def test_processes_that_save_at_once_save_one_key(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(PROCESSES)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
    results = [writer.communicate(timeout=DEADLINE)[0].strip() for writer in writers]

    assert sorted(results) == [*["Conflict"] * (PROCESSES - 1), "list"]
    assert len(file.read_text().splitlines()) == 1


def new_keys(file: Path, *names: str) -> NewHostKeys:
    host = Host("db", "db", "me", user_known_hosts=(str(file),))
    keys = [NewHostKey(new_key(), name, None, is_address=name != "db") for name in names]
    return NewHostKeys(host, 2222, KnownHostsFiles(), keys)


@pytest.mark.parametrize("same_server", [False, True])
def test_a_line_that_ssh_writes_meanwhile_without_a_lock_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_server: bool
) -> None:
    file = tmp_path / "known_hosts"
    new, append = new_keys(file, "db"), append_record
    foreign = f"[db]:2222 {public(new_key())}\n"
    if same_server:
        foreign += f"[db]:2222 {public(new.keys[0].key)}\n"

    def append_after_ssh(path: str, descriptor: int, record: bytes) -> Any:
        with file.open("a") as ssh:
            ssh.write(foreign)
        return append(path, descriptor, record)

    monkeypatch.setattr("tunnelkeeper.ssh.auth.new_host_keys.append_record", append_after_ssh)
    result = new.save()

    assert isinstance(result, Conflict) == (not same_server)
    assert file.read_text().startswith(foreign)
    assert len(file.read_text().splitlines()) == (3 if same_server else 1)


def test_a_file_that_was_replaced_while_its_lock_was_held_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    new = new_keys(file, "db")
    other = f"[db]:2222 {public(new_key())}\n"
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER.replace(" 22,", " 2222,"), str(file)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        (tmp_path / "new").write_text(other)
        (tmp_path / "new").rename(file)  # as ssh-keygen -R does
    assert writer.communicate(timeout=DEADLINE)[0] == "Conflict\n"
    assert isinstance(new.save(), Conflict)
    assert file.read_text() == other


def test_neither_name_nor_address_is_saved_if_one_has_another_key(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    line = f"[198.51.100.7]:2222 {public(new_key())}\n"
    file.write_text(line)

    result = new_keys(file, "db", "198.51.100.7").save()

    assert isinstance(result, Conflict)
    assert result.new.is_address
    assert file.read_text() == line


@pytest.mark.parametrize("known", [False, True])
def test_a_conflict_is_found_in_a_file_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"[db]:2222 {public(new_key())}\n" if known else "")

    def refuse(path: str) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("tunnelkeeper.ssh.auth.new_host_keys.locked", refuse)
    result, error = new_keys(file, "db").save_if_possible()

    assert isinstance(result, Conflict) == known
    assert isinstance(error, PermissionError)
