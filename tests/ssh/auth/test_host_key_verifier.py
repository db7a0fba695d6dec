from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, new_key, public, serve
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
from tunnelkeeper.ssh.auth.known_hosts import fingerprint
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from pathlib import Path


def describe(key: asyncssh.SSHKey) -> str:
    return f"{key.algorithm.decode()} {fingerprint(key.public_data)}"


async def refusal(server: Server, host: Host, progress: ProgressRecorder | None = None) -> Failure:
    """Return why a server's key is refused. Assert that no login was attempted."""
    with pytest.raises(FailureError) as failed:
        await connect_hop(host, None, SshContext(), progress or ProgressRecorder())

    assert server.logins == []
    assert server.offered == []
    assert failed.value.failure.needs_user
    assert failed.value.failure.files == host.user_known_hosts
    return failed.value.failure


@pytest.fixture
def stranger(server: Server) -> Server:
    """Return a server without a known host key."""
    server.known_hosts.unlink()
    return server


# Strict


async def test_a_known_key_is_accepted_silently(server: Server) -> None:
    progress = ProgressRecorder()
    async with connected(server.host(), progress):
        assert server.logins == ["me"]

    assert progress.infos == progress.warnings == []


async def test_an_unknown_key_is_refused_with_its_fingerprint(stranger: Server) -> None:
    failure = await refusal(stranger, stranger.host())

    assert failure.cause is Cause.HOST_KEY_UNKNOWN
    assert failure.message == (
        f"no host key is known for [127.0.0.1]:{stranger.port}; "
        f"the server shows {describe(stranger.host_key)}"
    )
    assert "accept-new" in failure.hint
    assert not stranger.known_hosts.exists()


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
async def test_a_changed_key_is_refused_with_both_fingerprints_and_the_line(
    stranger: Server, policy: Any
) -> None:
    known = new_key()
    stranger.known_hosts.write_text("# mine\n")
    stranger.add_known_host_key(known)
    before = stranger.known_hosts.read_text()

    failure = await refusal(stranger, stranger.host(host_key_policy=policy))

    assert failure.cause is Cause.HOST_KEY_CHANGED
    assert failure.message == (
        f"the host key of [127.0.0.1]:{stranger.port} is not the known one: the server shows "
        f"{describe(stranger.host_key)}, {stranger.known_hosts}:2 has {describe(known)}"
    )
    assert f"ssh-keygen -R '[127.0.0.1]:{stranger.port}'" in failure.hint
    assert stranger.known_hosts.read_text() == before


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
async def test_a_key_of_another_type_than_the_known_one_is_refused(
    stranger: Server, policy: Any
) -> None:
    known = new_key("ecdsa-sha2-nistp256")
    stranger.add_known_host_key(known)

    failure = await refusal(stranger, stranger.host(host_key_policy=policy))

    assert failure.cause is Cause.HOST_KEY_CHANGED
    assert describe(known) in failure.message
    assert describe(stranger.host_key) in failure.message


async def test_a_revoked_key_is_refused_although_it_is_known(server: Server) -> None:
    server.add_known_host_key(server.host_key, "@revoked")

    failure = await refusal(server, server.host())

    assert failure.cause is Cause.HOST_KEY_CHANGED
    assert failure.message == (
        f"the server shows {describe(server.host_key)}, which is revoked in {server.known_hosts}:2"
    )


async def test_a_revoked_key_is_refused_although_a_ca_key_is_known(server: Server) -> None:
    server.add_known_host_key(server.host_key, "@revoked")
    server.add_known_host_key(new_key(), "@cert-authority")

    failure = await refusal(server, server.host())

    assert failure.cause is Cause.HOST_KEY_CHANGED
    assert "revoked" in failure.message


async def test_a_key_is_looked_up_under_the_alias(stranger: Server) -> None:
    stranger.known_hosts.write_text(f"home {public(stranger.host_key)}\n")

    async with connected(stranger.host(host_key_alias="home")):
        assert stranger.logins == ["me"]


async def test_a_malformed_line_is_skipped_with_a_warning(server: Server) -> None:
    progress = ProgressRecorder()
    with server.known_hosts.open("a") as file:
        file.write("nonsense\n")
    async with connected(server.host(), progress):
        pass

    assert len(progress.warnings) == 1
    assert progress.warnings[0].startswith(f"{server.known_hosts}:2: ")


# Accept-new


async def test_accept_new_accepts_and_saves_an_unknown_key(stranger: Server) -> None:
    progress = ProgressRecorder()
    async with connected(stranger.host(host_key_policy="accept-new"), progress):
        assert stranger.logins == ["me"]

    assert stranger.known_hosts.read_text() == (
        f"[127.0.0.1]:{stranger.port} {public(stranger.host_key)}\n"
    )
    assert stat.S_IMODE(stranger.known_hosts.stat().st_mode) == 0o600
    (line,) = progress.infos
    assert line == (
        f"added the host key of [127.0.0.1]:{stranger.port} "
        f"({fingerprint(stranger.host_key.public_data)}) to {stranger.known_hosts}"
    )


async def test_a_new_key_is_saved_hashed_if_configured_and_then_known(
    stranger: Server,
) -> None:
    host = stranger.host(host_key_policy="accept-new", hash_known_hosts=True)
    async with connected(host):
        pass

    assert stranger.known_hosts.read_text().startswith("|1|")

    async with connected(stranger.host()):
        pass


async def test_concurrent_connections_save_a_new_key_once(stranger: Server) -> None:
    host = stranger.host(host_key_policy="accept-new")
    progress, context = ProgressRecorder(), SshContext()
    async with asyncio.timeout(20):
        connections = await asyncio.gather(
            *(connect_hop(host, None, context, progress) for _ in range(6))
        )
        await asyncio.gather(*(connection.close() for connection in connections))

    assert len(stranger.known_hosts.read_text().splitlines()) == 1
    assert len(progress.infos) == 1


async def test_a_new_key_is_saved_even_if_the_login_is_refused(stranger: Server) -> None:
    stranger.refuse_logins = True
    host = stranger.host(host_key_policy="accept-new")
    with pytest.raises(FailureError) as failed:
        await connect_hop(host, None, SshContext(), ProgressRecorder())

    assert failed.value.failure.cause is Cause.AUTH
    assert len(stranger.known_hosts.read_text().splitlines()) == 1


async def test_a_key_without_a_valid_signature_is_not_saved(tmp_path: Path) -> None:
    shown_key = new_key()
    (pair,) = asyncssh.load_keypairs([new_key()])
    pair.public_data = shown_key.public_data  # an impostor has only the public key
    async with serve(tmp_path, server_host_keys=[pair]) as server:
        server.known_hosts.unlink()
        with pytest.raises(FailureError) as failed:
            await connect_hop(
                server.host(host_key_policy="accept-new"), None, SshContext(), ProgressRecorder()
            )

        assert failed.value.failure.cause is Cause.KEY_EXCHANGE
        assert server.logins == []
        assert not server.known_hosts.exists()


async def test_a_key_that_cannot_be_saved_is_accepted_with_a_warning(
    stranger: Server, tmp_path: Path
) -> None:
    progress = ProgressRecorder()
    host = stranger.host(
        host_key_policy="accept-new", user_known_hosts=(str(tmp_path / "a" / "b" / "c"),)
    )
    async with connected(host, progress):
        assert stranger.logins == ["me"]

    assert len(progress.warnings) == 1
    assert "could not be saved" in progress.warnings[0]


async def test_without_a_user_known_hosts_file_nothing_is_saved(stranger: Server) -> None:
    progress = ProgressRecorder()
    host = stranger.host(host_key_policy="accept-new", user_known_hosts=())
    async with connected(host, progress):
        pass

    assert progress.infos == progress.warnings == []


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_another_key_saved_by_another_login_meanwhile_is_kept(
    tmp_path: Path, kind: str
) -> None:
    file, key = tmp_path / "known_hosts", new_key()
    host = Host("relay", "relay", "me", user_known_hosts=(str(file),), host_key_policy="accept-new")
    check = await HostKeyVerifier.prepare(host, 22, KnownHostsFiles(), print)
    assert check.verify(key)
    file.write_text(f"relay {public(new_key(kind))}\n")
    before = file.read_text()

    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await check.save_new_keys()
    assert check.failure is not None
    assert check.failure.cause is Cause.HOST_KEY_CHANGED
    assert f"{file}:1" in check.failure.message
    assert check.is_overtaken == (kind != "ssh-ed25519")
    assert await check.save_new_keys() == []
    assert file.read_text() == before
