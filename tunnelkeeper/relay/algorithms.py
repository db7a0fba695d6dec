"""The algorithms that the relay offers: asyncssh's, without what OpenSSH's server does not offer.

In a key exchange the client's order decides, so the relay's order is no preference.
"""

from __future__ import annotations

from asyncssh.kex import get_default_kex_algs
from asyncssh.public_key import get_default_public_key_algs

# Dropbear's client sends its first key exchange unasked. asyncssh does not see that the guess was
# wrong, as RFC 4253 section 7 defines it, so it must be right: this is Dropbear's first choice.
_FIRST = ["curve25519-sha256", "curve25519-sha256@libssh.org"]

_WEAK = frozenset({"diffie-hellman-group14-sha1", "rsa2048-sha256"})
_SHA1_SIGNATURE = "ssh-rsa"


def key_exchanges() -> list[str]:
    """Key exchanges, in the order that lets Dropbear in."""
    names = [name.decode("ascii") for name in get_default_kex_algs()]
    known = [name for name in names if not name.startswith("gss-") and name not in _WEAK]
    return [*_FIRST, *(name for name in known if name not in _FIRST)]


def signatures() -> list[str]:
    """Signatures that clients may log in with: no SHA-1 (OpenSSH 8.8)."""
    names = [name.decode("ascii") for name in get_default_public_key_algs()]
    return [name for name in names if name != _SHA1_SIGNATURE and "@ssh.com" not in name]
