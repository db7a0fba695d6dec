"""What is remembered of refused secrets."""

from __future__ import annotations

from tunnelkeeper.core.secret import Secret
from tunnelkeeper.questions.sources import HopKey
from tunnelkeeper.ssh.auth.login_memory import MAX_REFUSED, STORED, LoginMemory

HOP = HopKey("ann@server:22")
METHOD = "password"


def secret(text: str) -> list[Secret]:
    return [Secret(part.encode()) for part in text.split("+")]


def test_a_refused_secret_is_known_for_its_hop_its_way_and_its_method_only() -> None:
    memory = LoginMemory()
    memory.add_refused(HOP, METHOD, secret("a"))
    assert memory.has_refused(HOP, [METHOD], secret("a"))
    assert not memory.has_refused(HOP, [METHOD], secret("b"))
    assert not memory.has_refused(HOP, ["keyboard-interactive"], secret("a"))
    assert not memory.has_refused(HopKey("ann@other:22"), [METHOD], secret("a"))
    assert not memory.has_refused(HopKey(HOP.hop, ("jump",)), [METHOD], secret("a"))


def test_answers_are_refused_together() -> None:
    memory = LoginMemory()
    memory.add_refused(HOP, METHOD, secret("a+b"))
    assert memory.has_refused(HOP, [METHOD], secret("a+b"))
    assert not memory.has_refused(HOP, [METHOD], secret("a"))
    assert not memory.has_refused(HOP, [METHOD], secret("ab"))


def test_a_success_forgets_what_was_typed_and_the_password_that_served() -> None:
    memory = LoginMemory()
    memory.add_refused(HOP, METHOD, secret("typo"))
    memory.add_refused(HOP, STORED, secret("stale"))
    memory.add_refused(HOP, STORED, secret("right"))
    memory.succeeded(HOP, *secret("right"))
    assert not memory.has_refused(HOP, [METHOD, STORED], secret("typo"))
    assert not memory.has_refused(HOP, [STORED], secret("right"))
    assert memory.has_refused(HOP, [STORED], secret("stale")), "a store would send it each time"


def test_lock_forgets_everything_and_the_memory_is_bounded() -> None:
    memory = LoginMemory()
    for number in range(MAX_REFUSED + 1):
        memory.add_refused(HOP, METHOD, secret(str(number)))
    assert not memory.has_refused(HOP, [METHOD], secret("0"))
    assert memory.has_refused(HOP, [METHOD], secret("1"))
    memory.forget_refused()
    assert not memory.has_refused(HOP, [METHOD], secret("1"))


def test_it_shows_no_hash() -> None:
    memory = LoginMemory()
    memory.add_refused(HOP, METHOD, secret("a"))
    assert "_refused" not in repr(memory)
    assert "_key" not in repr(memory)
