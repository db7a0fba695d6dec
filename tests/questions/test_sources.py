"""Stored answers: the order of their sources, sources that fail, and passwords in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.questions.source_log import Lines
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.questions.sources import AnswerSources, Found, HopKey, Search, SourceError

if TYPE_CHECKING:
    from tunnelkeeper.questions.sources import Log

HOST = Host("db", "db.example", "ann")
KEY = HopKey(str(HOST))


@dataclass
class Stored:
    """A source with one answer, with none, or with a problem. asked: for what it was asked."""

    name: str
    answer: bytes | None = None
    problem: str = ""
    asked: list[str] = field(default_factory=list)

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        del host, log
        return self._found(path)

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        del host, log
        return self._found(key.hop)

    def _found(self, about: str) -> Found | None:
        self.asked.append(about)
        if self.problem:
            raise SourceError(self.problem)
        return None if self.answer is None else Found(Secret(self.answer), self.name)


async def found(search: Search) -> list[tuple[str, bytes]]:
    return [(each.source, each.secret.reveal()) for each in [found async for found in search]]


async def test_without_sources_nothing_is_found() -> None:
    answers = AnswerSources()
    assert await found(answers.passphrases(HOST, "/key", Lines())) == []
    assert await found(answers.passwords(HOST, KEY, Lines())) == []


async def test_sources_are_asked_in_order_and_memory_is_last() -> None:
    answers = AnswerSources((Stored("one", b"1"), Stored("two"), Stored("three", b"3")))
    answers.remember_password(KEY, Secret(b"typed"))
    assert await found(answers.passwords(HOST, KEY, Lines())) == [
        ("one", b"1"),
        ("three", b"3"),
        ("memory", b"typed"),
    ]
    assert await found(answers.passphrases(HOST, "/key", Lines())) == [
        ("one", b"1"),
        ("three", b"3"),
    ]


async def test_the_next_source_is_asked_only_if_the_answer_before_did_not_serve() -> None:
    second = Stored("two", b"2")
    answers = AnswerSources((Stored("one", b"1"), second))
    async for each in answers.passwords(HOST, KEY, Lines()):
        assert each.source == "one"
        break
    assert second.asked == []


async def test_a_source_that_fails_is_logged_and_the_next_is_asked() -> None:
    lines = Lines()
    answers = AnswerSources((Stored("one", problem="one failed"), Stored("two", b"2")))
    search = answers.passwords(HOST, KEY, lines)
    assert await found(search) == [("two", b"2")]
    assert search.problems == lines.warnings == ["one failed"]


async def test_a_password_in_memory_belongs_to_one_hop_and_one_way() -> None:
    answers = AnswerSources()
    answers.remember_password(KEY, Secret(b"typed"))
    behind = HopKey(KEY.hop, ("ann@jump:22",))
    assert await found(answers.passwords(HOST, behind, Lines())) == []


async def test_memory_keeps_a_copy_that_the_wiped_original_does_not_empty() -> None:
    answers = AnswerSources()
    typed = Secret(b"typed")
    answers.remember_password(KEY, typed)
    typed.wipe()
    for _ in range(2):  # and a user who wipes what was found does not empty it either
        async for each in answers.passwords(HOST, KEY, Lines()):
            assert each.secret.reveal() == b"typed"
            each.secret.wipe()


async def test_what_is_forgotten_is_wiped() -> None:
    answers = AnswerSources()
    answers.remember_password(KEY, Secret(b"old"))
    answers.remember_password(KEY, Secret(b"new"))
    assert await found(answers.passwords(HOST, KEY, Lines())) == [("memory", b"new")]
    answers.forget_password(KEY)
    answers.forget_password(KEY)
    assert await found(answers.passwords(HOST, KEY, Lines())) == []
    answers.remember_password(KEY, Secret(b"1"))
    answers.remember_password(HopKey("ann@other:22"), Secret(b"2"))
    assert (answers.forget_all(), answers.forget_all()) == (2, 0)
    assert "typed" not in repr(answers)


async def test_a_password_with_a_lifetime_is_forgotten_at_its_end() -> None:
    answers = AnswerSources()
    answers.remember_password(KEY, Secret(b"typed"), lifetime=0.0)
    assert await found(answers.passwords(HOST, KEY, Lines())) != []
    await asyncio.sleep(0)  # until the loop has run its timers
    await asyncio.sleep(0)
    assert await found(answers.passwords(HOST, KEY, Lines())) == []


async def test_the_problems_of_the_last_search_are_kept_for_the_host() -> None:
    source = Stored("one", problem="one failed")
    answers = AnswerSources((source,))
    host = Host("db", "db.example", "ann", identity_files=("/key", "/other"))
    assert await found(answers.passwords(host, KEY, Lines())) == []
    assert await found(answers.passphrases(host, "/key", Lines())) == []
    assert answers.problems(host, KEY) == ["one failed", "one failed"]
    assert answers.problems(HOST, HopKey("ann@other:22")) == []
    source.problem = ""
    assert await found(answers.passwords(host, KEY, Lines())) == []
    assert answers.problems(host, KEY) == ["one failed"]
