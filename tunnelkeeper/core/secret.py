"""A value that no log, traceback or message may show, such as a passphrase or a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable


class Secret:
    """A secret text. Its repr, str and traceback show nothing of it, and it cannot be pickled.

    `reveal` and `reveal_text` return it. They are called where it is used, and the result is kept
    in no attribute and no message.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)

    @classmethod
    def from_text(cls, text: str) -> Secret:
        """Return the secret of a text. Bytes that were not UTF-8 (surrogateescape) are kept."""
        return cls(text.encode("utf-8", "surrogateescape"))

    def reveal(self) -> bytes:
        """Return the bytes."""
        return bytes(self._data)

    def reveal_text(self) -> str:
        """Return the text. Bytes that are not UTF-8 become surrogates."""
        return self._data.decode("utf-8", "surrogateescape")

    def wipe(self) -> None:
        """Overwrite the bytes held here. Copies that libraries made are out of reach."""
        self._data[:] = bytes(len(self._data))
        self._data.clear()

    def __bool__(self) -> bool:
        return bool(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._data == other._data

    __hash__ = None  # type: ignore[assignment]  # a set of secrets would show their equality

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def wipe(secrets: Iterable[Secret]) -> None:
    """Wipe secrets that are not needed any more."""
    for secret in secrets:
        secret.wipe()
