"""Credentials of systemd: their names, and files that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.questions.source_log import Lines
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.questions import MAX_ANSWER_SIZE
from tunnelkeeper.questions.credentials import (
    Credentials,
    passphrase_credentials,
    password_credential,
)
from tunnelkeeper.questions.sources import HopKey, SourceError

if TYPE_CHECKING:
    from pathlib import Path

HOST = Host("ann@db:2222", "db.example", "ann", ports=(2222,))
KEY = HopKey(str(HOST))


def credentials(folder: Path) -> Credentials:
    return Credentials({"CREDENTIALS_DIRECTORY": str(folder)})


async def password(folder: Path) -> bytes | None:
    found = await credentials(folder).password(HOST, KEY, Lines())
    return None if found is None else found.secret.reveal()


async def passphrase(folder: Path) -> bytes | None:
    found = await credentials(folder).passphrase(HOST, "/home/ann/.ssh/id_rsa", Lines())
    return None if found is None else found.secret.reveal()


def test_names_have_only_characters_that_systemd_accepts() -> None:
    assert password_credential("db.example-1") == "password-db.example-1"
    assert password_credential("ann@[::1]:22") == "password-ann@=5B=3A=3A1=5D=3A22"
    assert password_credential("a=b/é") == "password-a=3Db=2F=C3=A9"
    assert passphrase_credentials("/k/id_rsa") == ("passphrase-=2Fk=2Fid_rsa", "passphrase-id_rsa")


async def test_without_a_service_manager_there_is_no_answer() -> None:
    assert await Credentials({}).password(HOST, KEY, Lines()) is None


async def test_a_file_is_read_when_its_answer_is_needed(tmp_path: Path) -> None:
    assert await password(tmp_path) is None
    (tmp_path / "password-ann@db=3A2222").write_bytes(b"secret\r\nmore")
    assert await password(tmp_path) == b"secret"


async def test_the_whole_path_of_a_key_has_precedence(tmp_path: Path) -> None:
    (tmp_path / "passphrase-id_rsa").write_bytes(b"one")
    assert await passphrase(tmp_path) == b"one"
    (tmp_path / "passphrase-=2Fhome=2Fann=2F.ssh=2Fid_rsa").write_bytes(b"two")
    assert await passphrase(tmp_path) == b"two"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\nx", "empty first line"), (b"x" * (MAX_ANSWER_SIZE + 1), "more than"), (None, "read")],
)
async def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "password-ann@db=3A2222"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=reason) as failed:
        await password(tmp_path)
    assert "the credential password-ann@db=3A2222" in str(failed.value)
