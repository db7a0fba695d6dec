"""What earlier logins have shown about a hop: the secrets that it refused, and that it wants codes.

It keeps no secret, only hashes with a key that is drawn when the process starts.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.sources import HopKey

STORED = "stored"
"""In place of a method: passwords from a store that failed, alone or together with a code. A person
may type one of them again; a store may not give it again."""

WAS_REFUSED = "refused before, so not sent again (to send it anyway: tunnelkeeper lock)"
"""Why a person is asked again."""

MAX_REFUSED = 200
"""Secrets kept per hop and method. The oldest ones go first."""


@dataclass(slots=True)
class LoginMemory:
    """What the logins of one process have shown.

    Attributes:
        hops_with_codes: The hops that ask for more than a password, so that no login begins there
            without a person. It could send a code or a push to someone who did not ask for it.
        hops_with_password: The hops where a password has logged in.
    """

    hops_with_codes: set[HopKey] = field(default_factory=set)
    hops_with_password: set[HopKey] = field(default_factory=set)
    _key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    _refused: dict[tuple[HopKey, str], dict[bytes, None]] = field(default_factory=dict, repr=False)

    def add_refused(self, hop: HopKey, method: str, answers: Sequence[Secret]) -> None:
        """Record answers that a method has refused together."""
        hashes = self._refused.setdefault((hop, method), {})
        hashes[self._hash(answers)] = None
        while len(hashes) > MAX_REFUSED:
            del hashes[next(iter(hashes))]

    def has_refused(self, hop: HopKey, methods: Iterable[str], answers: Sequence[Secret]) -> bool:
        """Return whether one of these methods has refused the answers."""
        hash_ = self._hash(answers)
        return any(hash_ in self._refused.get((hop, method), ()) for method in methods)

    def succeeded(self, hop: HopKey, password: Secret | None) -> None:
        """Forget what was refused before a login that succeeded.

        Other passwords of a store stay refused: it gives them at every login.
        """
        stored = self._refused.get((hop, STORED), {})
        if password is not None:
            stored.pop(self._hash([password]), None)
        for key in [key for key in self._refused if key[0] == hop and key[1] != STORED]:
            del self._refused[key]

    def forget_refused(self) -> None:
        """Forget every refused secret, and draw another key."""
        self._refused.clear()
        self._key = os.urandom(32)

    def _hash(self, answers: Sequence[Secret]) -> bytes:
        code = hmac.new(self._key, digestmod="sha256")
        for answer in answers:
            code.update(len(answer).to_bytes(4, "big") + answer.reveal())
        return code.digest()
