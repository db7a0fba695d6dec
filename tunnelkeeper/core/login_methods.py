"""Which login method comes next, as ssh decides it (RFC 4252, authmethod_get of sshconnect2.c).

It knows names only; whether a method has something to offer is reported by `disable`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Host

PUBLICKEY = "publickey"
KEYBOARD_INTERACTIVE = "keyboard-interactive"
PASSWORD = "password"  # noqa: S105  a method, not a secret

DEFAULT_ORDER = (PUBLICKEY, KEYBOARD_INTERACTIVE, PASSWORD)
"""PreferredAuthentications of ssh_config(5), without the methods that are not supported here."""


def allowed_methods(host: Host) -> tuple[str, ...]:
    """Return the methods that a host's settings allow, in the order in which they are tried."""
    allowed = {
        PUBLICKEY: host.pubkey_authentication,
        KEYBOARD_INTERACTIVE: host.kbd_interactive_authentication,
        PASSWORD: host.password_authentication,
    }
    order = dict.fromkeys(host.preferred_authentications or DEFAULT_ORDER)
    return tuple(name for name in order if allowed.get(name, False))


@dataclass(slots=True)
class MethodOrder:
    """The methods of one login. preferred: those that are allowed, in their order.

    A method is repeated until it has nothing left to offer. Then the next one follows, unless the
    server names other methods than before: then the order starts again, without those that ended.
    """

    preferred: tuple[str, ...] = DEFAULT_ORDER
    current: str = ""
    _disabled: set[str] = field(default_factory=set)
    _supported: tuple[str, ...] | None = None
    _position: int = 0

    def disable(self, name: str) -> None:
        """Never use a method again in this login: it has nothing left to offer."""
        self._disabled.add(name)

    def next(self, supported: Sequence[str]) -> str:
        """Return the method to use now, or an empty string after the last.

        supported: the methods that the server named in its last reply.
        """
        if self._supported != tuple(supported):
            self._supported, self._position = tuple(supported), 0
        elif self.current and self.current not in self._disabled:
            return self.current
        self.current = ""
        while self._position < len(self.preferred) and not self.current:
            name = self.preferred[self._position]
            self._position += 1
            if name in supported and name not in self._disabled:
                self.current = name
        return self.current
