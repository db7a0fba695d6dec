"""Login files on a disk that hangs: they hold up no other login to the same server."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import failure_of
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import jump_host
from tests.ssh.waiting import until
from tunnelkeeper.core.concurrency_limit import MAX_LIMIT
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.net import thread_executor
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.ssh.connect import ConnectAttempt, connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ssh.server import Server

MODULES = ("public_keys", "private_keys", "known_hosts_file", "revoked_keys")


@contextmanager
def hanging_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let every read below a folder hang inside the context. Yield what is set by the first."""
    reached, release = threading.Event(), threading.Event()

    def read(path: str, *limit: int) -> bytes:
        if str(path).startswith(str(folder)):
            reached.set()
            release.wait()
        return read_regular_file(path, *limit)

    for module in MODULES:
        monkeypatch.setattr(f"tunnelkeeper.ssh.auth.{module}.read_regular_file", read)
    try:
        yield reached
    finally:
        release.set()


@pytest.mark.parametrize("field", ["identity_files", "certificate_files", "user_known_hosts"])
async def test_hanging_files_hold_up_no_other_login(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    file = tmp_path / "disk"
    file.touch(0o600)
    context = SshContext()
    with hanging_disk(file, monkeypatch) as reached:
        async with asyncio.TaskGroup() as tasks:
            hanging = [
                tasks.create_task(
                    connect_hop(
                        server.host(**{field: (str(file),)}), None, context, ProgressRecorder()
                    )
                )
                for _ in range(MAX_LIMIT + 2)
            ]
            await until(reached.is_set)

            connection = await connect_hop(server.host(), None, context, ProgressRecorder())
            assert not any(task.done() for task in hanging)

            await connection.close()
            for task in hanging:
                task.cancel()
        assert not server.connections or await until(lambda: not server.connections)


@pytest.mark.parametrize(
    ("field", "key"),
    [("user_known_hosts", "known_hosts"), ("revoked_host_keys", "revoked_host_keys")],
)
async def test_files_of_host_keys_that_hang_are_a_local_failure(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, key: str
) -> None:
    file = tmp_path / "disk"
    file.touch()
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.1)
    with hanging_disk(file, monkeypatch):
        failure = await failure_of(server.host(**{field: (str(file),)}))

    assert failure.cause is Cause.LOCAL_RESOURCES
    assert failure.message == f"{key}: not read within 0.1 s; its file system may hang"
    assert failure.hint == f"check the file system of {key}"


async def test_a_key_that_hangs_is_left_out_of_the_login(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "disk"
    file.touch(0o600)
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.1)
    host = server.host()
    with hanging_disk(file, monkeypatch):
        connection = await connect_hop(
            replace(host, identity_files=(str(file), *host.identity_files)),
            None,
            SshContext(),
            ProgressRecorder(),
        )
        await connection.close()


async def test_servers_of_one_address_behind_other_hosts_have_limits_of_their_own(
    server: Server, tmp_path: Path
) -> None:
    def key_of(attempt: ConnectAttempt) -> tuple[object, ...]:
        return attempt._server

    def attempt(**changes: object) -> ConnectAttempt:
        return ConnectAttempt(
            server.host(**changes), server.port, None, SshContext(), ProgressRecorder()
        )

    direct, by_proxy = attempt(), attempt(proxy_command="nc %h %p")
    (tmp_path / "jump").mkdir()
    async with jump_host(tmp_path / "jump") as (_, jump):
        behind = replace(attempt(), jump=jump)
        keys = {key_of(direct), key_of(by_proxy), key_of(behind)}

    assert len(keys) == 3
    assert key_of(direct) == ("127.0.0.1", server.port)
