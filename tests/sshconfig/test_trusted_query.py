"""The check of named ssh_config files before ssh reads them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.sshconfig import (
    Request,
    SshConfigError,
    TrustedQuery,
    gather_facts,
    trusted_query,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.sshconfig import Answer

ANSWER: Answer = {"hostname": ["relay"]}


async def query(request: Request) -> Answer:
    del request
    return ANSWER


async def test_a_file_of_this_user_is_used(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Include missing other*\n")

    trusted = TrustedQuery(query, gather_facts())

    assert await trusted(Request("relay", source=str(tmp_path / "config"))) == ANSWER


async def test_a_missing_file_is_left_to_ssh(tmp_path: Path) -> None:
    request = Request("relay", source=str(tmp_path / "missing" / "config"))

    assert await TrustedQuery(query, gather_facts())(request) == ANSWER


async def test_an_included_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"Match user x\n  Include {tmp_path}/inner*\n")
    (tmp_path / "inner").touch()
    (tmp_path / "inner").chmod(0o666)

    with pytest.raises(SshConfigError, match=r"inner can be written by others \(mode 0666\)"):
        await TrustedQuery(query, gather_facts())(Request("relay", source=str(tmp_path / "config")))


async def test_requests_at_the_same_time_share_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[object] = []

    def search(source: object, _facts: object) -> tuple[str, ...]:
        searched.append(source)
        return ()

    monkeypatch.setattr(trusted_query, "find_config_files", search)
    trusted = TrustedQuery(query, gather_facts())
    requests = [Request(f"h{n}", source=str(tmp_path / "config")) for n in range(100)]

    answers = await asyncio.gather(*map(trusted, requests))

    assert answers == [ANSWER] * 100
    assert len(searched) == 1
