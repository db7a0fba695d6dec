"""UpdateHostKeys with servers that lie, a person who is asked, and addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asyncssh.connection import SSHServerConnection
from asyncssh.packet import SSHPacket, String

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, new_key, public, serve
from tests.ssh.waiting import until
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.ssh.auth.host_key_update import (
    HostKeyChange,
    KeepsFilesError,
    KnownName,
    make_plan,
)
from tunnelkeeper.ssh.auth.known_hosts import parse
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NEW, OLD, KNOWN = new_key(), new_key(), new_key()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Return a server with two host keys, the first of which is known."""
    keys = [new_key(), new_key("ecdsa-sha2-nistp256")]
    async with serve(tmp_path, server_host_keys=keys, send_server_host_keys=True) as server:
        name = f"[127.0.0.1]:{server.port}"
        server.known_hosts.write_text(f"{name} {public(keys[0])}\n")
        server.host_key = keys[1]
        yield server


async def test_a_key_without_a_valid_proof_is_not_learned(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lie(connection: Any, packet: SSHPacket) -> None:
        packet.get_string()
        connection._report_global_response(String(NEW.sign(b"something", b"ssh-ed25519")))

    name = "_process_hostkeys_prove_00_at_openssh_dot_com_global_request"
    monkeypatch.setattr(SSHServerConnection, name, lie)
    before, progress = server.known_hosts.read_text(), ProgressRecorder()

    async with connected(server.host(update_host_keys=True), progress):
        await until(lambda: [text for text in progress.debugs if "stay as they are" in text])

    assert server.known_hosts.read_text() == before


async def test_nothing_is_asked_for_if_the_keys_are_not_updated(server: Server) -> None:
    async with connected(server.host()) as connection:
        await connection.wait_for_answer()
    assert b"hostkeys-prove-00@openssh.com" not in server.requests


@pytest.mark.parametrize("answer", ["yes", "no"])
async def test_a_person_who_is_present_is_asked(server: Server, answer: str) -> None:
    context = SshContext()
    board = context.questions
    board.attend("c", None)
    before = server.known_hosts.read_text()
    async with connected(server.host(update_host_keys="ask"), context=context):
        (question,) = await until(lambda: board.questions)
        assert "learned a further host key" in question.text
        claim = board.claim("c", question.id)
        bad = await board.answer("c", question.id, claim.nonce, [Secret(b"maybe")])
        assert bad.accepted is False
        claim = board.claim("c", question.id)
        verdict = await board.answer("c", question.id, claim.nonce, [Secret(answer.encode())])
        assert verdict.accepted
        assert board.questions == ()

    added = server.known_hosts.read_text().removeprefix(before)
    assert added.endswith(f" {public(server.host_key)}\n") is (answer == "yes")


async def test_the_question_ends_with_the_connection(server: Server) -> None:
    context = SshContext()
    context.questions.attend("c", None)
    async with connected(server.host(update_host_keys="ask"), context=context):
        await until(lambda: context.questions.questions)

    await until(lambda: not context.questions.questions)


# -- addresses (CheckHostIP) -----------------------------------------------------------------------

BOTH = KnownName("server", "10.0.0.1")


def plan_for(text: str, name: KnownName = BOTH) -> tuple[int, int, bool]:
    offered = [KNOWN.public_data, NEW.public_data]
    plan = make_plan(parse(text, "f")[0], name, offered)
    return len(plan.new), len(plan.old), plan.is_incomplete


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server,10.0.0.1 {known}\n", (1, 0, True)),
        ("server,10.0.0.1 {known}\nserver,10.0.0.1 {new}\n", (0, 0, False)),
        ("server {known}\n10.0.0.1 {known}\nserver {new}\n", (0, 0, True)),
        ("server {known}\nserver {old}\n", (1, 1, True)),
    ],
)
def test_names_and_addresses_are_compared_apart(text: str, expected: tuple[int, int, bool]) -> None:
    keys = {"known": public(KNOWN), "new": public(NEW), "old": public(OLD)}
    assert plan_for(text.format_map(keys)) == expected


@pytest.mark.parametrize(
    "text",
    ["server,10.0.0.2 {known}\n", "other,10.0.0.1 {known}\n", "server {known}\n10.0.0.9 {new}\n"],
)
def test_a_mismatch_of_name_and_address_keeps_the_files(text: str) -> None:
    keys = {"known": public(KNOWN), "new": public(NEW)}
    with pytest.raises(KeepsFilesError):
        plan_for(text.format_map(keys))


def test_a_new_key_gets_both_names(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"server,10.0.0.1 {public(KNOWN)}\n")
    keys = tuple(("ssh-ed25519", key.public_data) for key in (KNOWN, NEW))
    change = HostKeyChange((str(file),), BOTH, keys, frozenset({NEW.public_data}), hashed=False)

    change.apply()

    lines = f"server,10.0.0.1 {public(KNOWN)}\nserver,10.0.0.1 {public(NEW)}\n"
    assert file.read_text() == lines
    assert change.apply().is_empty


def test_a_key_that_became_new_meanwhile_is_not_added_without_proof(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("")
    keys = (("ssh-ed25519", NEW.public_data),)
    with pytest.raises(KeepsFilesError, match="meanwhile"):
        HostKeyChange((str(file),), KnownName("s"), keys, frozenset(), hashed=False).apply()
    assert file.read_text() == ""


def test_a_link_and_the_lines_of_others_are_kept(tmp_path: Path) -> None:
    file, link = tmp_path / "real", tmp_path / "known_hosts"
    file.write_bytes(b"# \xff\nother " + public(OLD).encode() + b"\nserver " + public(OLD).encode())
    link.symlink_to(file)
    keys = (("ssh-ed25519", NEW.public_data),)
    with pytest.raises(KeepsFilesError, match="another name"):
        HostKeyChange(
            (str(link),), KnownName("server"), keys, frozenset({keys[0][1]}), False
        ).apply()
    file.write_bytes(b"# \xff\nserver " + public(OLD).encode())

    HostKeyChange((str(link),), KnownName("server"), keys, frozenset({keys[0][1]}), False).apply()

    assert link.is_symlink()
    assert file.read_bytes() == b"# \xff\nserver " + public(NEW).encode() + b"\n"
