"""Rules for names: which names a client may listen on, and which labels are hosts instead.

A name is granted by a pattern of `names` in relay.toml, with %u for the client's user, or by a
permitlisten of its key. A permit for every host (`*`) grants ports, not names. Nothing is resolved
here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tunnelkeeper.core.wildcards import ascii_lower, matches
from tunnelkeeper.relay.permits import ANY_HOST, HostPermit
from tunnelkeeper.relay.policy import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tunnelkeeper.relay.key_options import KeyOptions
    from tunnelkeeper.relay.permits import Permit
    from tunnelkeeper.relay.registry import Name

OWN_USER = ("%u",)
"""The default of `names`: a client may listen on the name of its user."""

NEVER_SEEN = "never seen; a host of this name has to be in permit_open of relay.toml"
"""The reason in place of a time when no client has listened on a name."""

OPENS_NAMES = 'permit_open opens the names of clients with "names"'
"""What to write instead of a name that became a host by being in permit_open."""

_PATTERN = re.compile(r"(?:[A-Za-z0-9_*?-]|%u){1,63}")


class NamePatternError(ValueError):
    """Raised for a pattern that no name matches; the text gives the reason."""


def parse_pattern(text: str) -> str:
    """Parse a pattern of names: a label with `*`, `?` and `%u`. Case is ignored.

    Raises NamePatternError.
    """
    if _PATTERN.fullmatch(text):
        return text.replace("%u", "\0").lower().replace("\0", "%u")
    if "." in text:
        raise NamePatternError("a name is a single label, without a dot")
    raise NamePatternError("expected a name such as 'box-*', or '%u' for the user")


def is_host(name: str, permit_open: Iterable[Permit]) -> bool:
    """Return whether the relay's permit_open names a label, with any port, so that it is a host."""
    return any(
        ascii_lower(permit.host).removesuffix(".") == name
        for permit in permit_open
        if isinstance(permit, HostPermit)
    )


def check_listen_name(
    target: Name,
    user: str,
    patterns: Collection[str],
    permit_open: Iterable[Permit],
    options: KeyOptions,
) -> Refusal | None:
    """Check a request to listen on a name, after `policy.check_listen`.

    patterns: `names` of relay.toml. permit_open: the relay's.
    """
    name, port = target.name, target.port
    if not patterns:
        return Refusal(f"{name} is a host, because names = false in relay.toml")
    if port == 0:
        return Refusal(f"the name {name} needs a port other than 0")
    if is_host(name, permit_open):
        return Refusal(
            f"{name} is a host in permit_open of relay.toml, so no client can listen on this name; "
            f"{OPENS_NAMES}"
        )
    by_pattern = any(matches(name, _expand(pattern, user)) for pattern in patterns)
    if by_pattern or _is_granted_by_key(name, port, options):
        return None
    return Refusal(
        f"the name {name} is not granted to {user}; names in relay.toml, or "
        f'permitlisten="{name}:{port}" of the key, grants it'
    )


def _expand(pattern: str, user: str) -> str:
    return pattern.replace("%u", ascii_lower(user))


def _is_granted_by_key(name: str, port: int, options: KeyOptions) -> bool:
    return any(
        permit.host != ANY_HOST
        and permit.port in {None, port}
        and matches(name, ascii_lower(permit.host))
        for permit in options.permit_listen or ()
        if isinstance(permit, HostPermit)
    )
