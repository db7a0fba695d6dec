"""The keyring of the desktop: a backend that answers, fails, hangs or is missing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from tests.questions.source_log import Lines
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.questions.keyring_source import Backend, Keyring
from tunnelkeeper.questions.sources import HopKey, SourceError

HOST = Host("db", "db.example", "ann", keyring=True)
KEY = HopKey(str(HOST))


@dataclass
class Store:
    """A backend. locked: what a lookup waits for."""

    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    locked: threading.Event | None = None
    error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked is not None:
            self.locked.wait()
        if self.error is not None:
            raise self.error
        return self.passwords.get((service, username))


async def test_the_keyring_is_asked_by_the_hop_or_the_path_of_a_key() -> None:
    names = {"ann@db.example:22": "one", "/keys/a": "two"}
    store = Store({("tunnelkeeper", name): value for name, value in names.items()})
    keyring = Keyring(lambda: store)
    found = await keyring.password(HOST, KEY, Lines())
    assert found is not None
    assert (found.secret.reveal(), found.source) == (b"one", "the keyring")
    found = await keyring.passphrase(HOST, "/keys/a", Lines())
    assert found is not None
    assert found.secret.reveal() == b"two"
    assert await keyring.passphrase(HOST, "/keys/b", Lines()) is None


async def test_the_package_is_not_imported_unless_the_host_asks_for_it() -> None:
    def load() -> Backend:
        raise AssertionError

    assert await Keyring(load).password(Host("db", "db", "ann"), KEY, Lines()) is None
    assert await Keyring(load).passphrase(Host("db", "db", "ann"), "/keys/a", Lines()) is None


async def test_a_missing_package_is_named_with_the_remedy() -> None:
    def load() -> Backend:
        raise ModuleNotFoundError("keyring")

    with pytest.raises(SourceError, match="pipx inject tunnelkeeper keyring"):
        await Keyring(load).password(HOST, KEY, Lines())


async def test_a_keyring_that_waits_for_a_person_has_no_answer() -> None:
    locked = threading.Event()
    try:
        with pytest.raises(SourceError, match="it may be locked"):
            await Keyring(lambda: Store(locked=locked), timeout=0.05).password(HOST, KEY, Lines())
    finally:
        locked.set()


async def test_a_backend_that_fails_is_named_without_the_text_of_its_error() -> None:
    store = Store(error=RuntimeError("could quote a secret"))
    with pytest.raises(SourceError, match="the keyring failed: RuntimeError") as failed:
        await Keyring(lambda: store).password(HOST, KEY, Lines())
    assert "secret" not in str(failed.value)


async def test_the_real_package_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")

    class InMemory(backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1

        def get_password(self, service: str, username: str) -> str:
            return f"{service}:{username}"

        def set_password(self, service: str, username: str, password: str) -> None:
            raise AssertionError

    monkeypatch.setattr("keyring.core._keyring_backend", None)
    keyring.set_keyring(InMemory())
    found = await Keyring().password(HOST, KEY, Lines())
    assert found is not None
    assert found.secret.reveal() == b"tunnelkeeper:ann@db.example:22"
