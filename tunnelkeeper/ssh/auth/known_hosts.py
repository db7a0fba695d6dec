"""What known_hosts says of a host's key: parse its lines, find a host's, judge a key by them.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; the decisions are those of OpenSSH's
hostfile.c and of check_host_key() in its sshconnect.c, and stricter where a docstring says so.
This module opens no file, checks no signature and no certificate, and asks nobody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.wildcards import ascii_lower, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

SALT_BYTES = hashlib.sha1(usedforsecurity=False).digest_size
"""A hashed name's salt is as long as its hash (host_hash() in hostfile.c)."""

HASH_MAGIC = "|1|"  # "1" names HMAC-SHA1, the only kind there is
MAX_QUOTED = 60  # characters of a malformed line that a warning shows
PATTERN_CHARACTERS = frozenset("*?!|")  # in a name these mean something else than themselves


class Marker(StrEnum):
    """What a marked line's key is, instead of a host's own key."""

    CERT_AUTHORITY = "@cert-authority"
    REVOKED = "@revoked"


class LineError(ValueError):
    """A line is not one of known_hosts; the text says why."""


@dataclass(frozen=True, slots=True)
class HostKeyLine:
    """One key of a known_hosts file, and the hosts it is for.

    number: the line, from 1. patterns: in lower case; or the one hashed name, as written.
    algorithm: the key's type, such as `ssh-rsa`. blob: the public key (RFC 4253 section 6.6).
    """

    path: str
    number: int
    marker: Marker | None
    patterns: tuple[str, ...]
    algorithm: str
    blob: bytes

    def matches(self, name: str) -> bool:
        """Whether the line is for a name, as `host_pattern` writes it."""
        first = self.patterns[0]
        if first.startswith(HASH_MAGIC):
            salt = _decode_base64(first.split("|")[2])
            return hash_host(name, salt) == first
        found = False
        for pattern in self.patterns:
            if pattern.startswith("!"):
                if matches(name, pattern[1:]):
                    return False
            elif not found:
                found = matches(name, pattern)
        return found


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What known_hosts holds for one host; the keys that speak for it are in file order.

    host_keys_without_port: for a port other than 22, and only where host_keys is empty, the keys
    of the bare host name: equal to the key presented they make it trusted, else they say nothing.
    """

    host_keys: tuple[HostKeyLine, ...] = ()
    ca_keys: tuple[HostKeyLine, ...] = ()
    revoked: tuple[HostKeyLine, ...] = ()
    host_keys_without_port: tuple[HostKeyLine, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The lines of all known_hosts files, in the order they were read."""

    lines: tuple[HostKeyLine, ...] = ()

    def keys_for(self, host: str, port: int, alias: str | None) -> KnownKeys:
        """The keys of a host under its one right name: the alias, `host` or `[host]:port`.

        Where a port other than 22 has no key of a kind, the bare name's are used ("found matching
        key w/out port" of ssh -v). @revoked lines count under either name, stricter than OpenSSH.
        """
        name = host_pattern(host, port, alias)
        bare_name = host_pattern(host, DEFAULT_SSH_PORT, alias)
        own = [line for line in self.lines if line.matches(name)]
        bare = own if bare_name == name else [x for x in self.lines if x.matches(bare_name)]
        host_keys = _with_marker(own, None)
        return KnownKeys(
            host_keys=host_keys,
            ca_keys=_with_marker(own, Marker.CERT_AUTHORITY)
            or _with_marker(bare, Marker.CERT_AUTHORITY),
            revoked=tuple(dict.fromkeys(_with_marker([*own, *bare], Marker.REVOKED))),
            host_keys_without_port=() if host_keys else _with_marker(bare, None),
        )


@dataclass(frozen=True, slots=True)
class Trusted:
    """The line holds this very key, or the CA that signed its certificate."""

    line: HostKeyLine


@dataclass(frozen=True, slots=True)
class Unknown:
    """No key of this host is known; nothing speaks for the key or against it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The host is known with another key of the same type: the line's."""

    line: HostKeyLine


@dataclass(frozen=True, slots=True)
class OtherTypeKnown:
    """The host is known, but only with keys of other types; OpenSSH calls this changed, too."""

    lines: tuple[HostKeyLine, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """The line says that the key, or the CA that signed it, must never be accepted."""

    line: HostKeyLine


Verdict = Trusted | Unknown | Changed | OtherTypeKnown | Revoked
CaVerdict = Trusted | Unknown | Revoked


def parse(text: str, path: str) -> tuple[tuple[HostKeyLine, ...], tuple[str, ...]]:
    """Read a file's text: its lines, and a warning `path:number: why` for each malformed one."""
    lines: list[HostKeyLine] = []
    warnings: list[str] = []
    # Not splitlines(): it also splits where ssh does not, and the numbers would be off.
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r").strip(" \t")
        if not line or line.startswith("#"):
            continue
        try:
            lines.append(_parse_line(line, path, number))
        except LineError as error:
            warnings.append(f"{path}:{number}: {error}")
    return tuple(lines), tuple(warnings)


def check_host_key(known_keys: KnownKeys, algorithm: str, blob: bytes) -> Verdict:
    """Judge a plain host key. algorithm: the type in the blob (`ssh-rsa`, never `rsa-sha2-256`)."""
    if line := _find_line(known_keys.revoked, blob):
        return Revoked(line)
    if line := _find_line((*known_keys.host_keys, *known_keys.host_keys_without_port), blob):
        return Trusted(line)
    if not known_keys.host_keys:
        return Unknown()
    for line in known_keys.host_keys:
        if line.algorithm == algorithm:
            return Changed(line)
    return OtherTypeKnown(known_keys.host_keys)


def check_ca(known_keys: KnownKeys, ca_blob: bytes, host_blob: bytes) -> CaVerdict:
    """Judge a host certificate by the CA that signed it and the plain key that it certifies.

    Unknown is no end: as in OpenSSH the certified key may still be judged as a plain one. Trusted
    speaks for the CA only; the certificate's signature, names and dates are the caller's to check.
    """
    if line := _find_line(known_keys.revoked, host_blob) or _find_line(known_keys.revoked, ca_blob):
        return Revoked(line)
    if line := _find_line(known_keys.ca_keys, ca_blob):
        return Trusted(line)
    return Unknown()


def known_key_types(known_keys: KnownKeys) -> tuple[str, ...]:
    """The types of the host's known keys, in file order without repeats: to be offered first."""
    lines = (*known_keys.host_keys, *known_keys.host_keys_without_port)
    return tuple(dict.fromkeys(line.algorithm for line in lines))


def fingerprint(blob: bytes) -> str:
    """A key's `SHA256:...`, as ssh-keygen -l prints it."""
    return "SHA256:" + _encode_base64(hashlib.sha256(blob).digest()).rstrip("=")


def host_pattern(host: str, port: int, alias: str | None) -> str:
    """The name that a host's key is filed under, as OpenSSH writes it.

    host: without brackets. An alias (HostKeyAlias of ssh_config(5)) stands alone, without a port.
    """
    name = alias or (host if port == DEFAULT_SSH_PORT else f"[{host}]:{port}")
    return ascii_lower(name)


def hash_host(pattern: str, salt: bytes) -> str:
    """A name as HashKnownHosts of ssh_config(5) hides it. salt: SALT_BYTES random bytes."""
    name = ascii_lower(pattern).encode("utf-8", "surrogatepass")
    digest = hmac.digest(salt, name, "sha1")
    return f"{HASH_MAGIC}{_encode_base64(salt)}|{_encode_base64(digest)}"


def format_line(pattern: str, algorithm: str, blob: bytes, salt: bytes | None) -> str:
    """The line, without its newline, that records a host's key; with a salt its name is hashed.

    Raises ValueError for what would be read back as anything else than this one name and key.
    """
    name = ascii_lower(pattern) if salt is None else hash_host(pattern, salt)
    if salt is None and PATTERN_CHARACTERS.intersection(name):
        raise ValueError(f"{_quote(name)} means more than one host in known_hosts")
    text = f"{name} {algorithm} {_encode_base64(blob)}"
    meant = HostKeyLine("", 1, None, (name,), algorithm, blob)
    if not text.isprintable() or parse(text, path="")[0] != (meant,):
        raise ValueError(f"known_hosts cannot hold {_quote(text)} as the line of one host's key")
    return text


def _parse_line(line: str, path: str, number: int) -> HostKeyLine:
    marker = None
    # Only blank and tab separate fields; str.split() would split at any Unicode space.
    fields = re.split(r"[ \t]+", line, maxsplit=4)
    if fields[0].startswith("@"):
        marker = _parse_marker(fields.pop(0))
    match fields:
        case [names, algorithm, key, *_]:
            patterns = _parse_patterns(names)
            return HostKeyLine(
                path, number, marker, patterns, algorithm, _parse_blob(algorithm, key)
            )
    missing = ("host names", "key type", "key")[len(fields)]
    raise LineError(f"expected host names, key type and key; the line ends before the {missing}")


def _parse_marker(word: str) -> Marker:
    try:
        return Marker(word)
    except ValueError:
        raise LineError(
            f"expected {' or '.join(Marker)} as the marker, got {_quote(word)}"
        ) from None


def _parse_patterns(names: str) -> tuple[str, ...]:
    if names.startswith("@"):
        raise LineError(f"expected one marker at most, got a second one: {_quote(names)}")
    if not names.startswith("|"):
        return tuple(ascii_lower(names).split(","))
    match names.split("|"):
        case ["", "1", salt, digest] if _is_sha1(salt) and _is_sha1(digest):
            return (names,)
    raise LineError(f"expected a hashed host as |1|salt|hash, got {_quote(names)}")


def _is_sha1(encoded: str) -> bool:
    try:
        return len(_decode_base64(encoded)) == SALT_BYTES
    except ValueError:
        return False


def _parse_blob(algorithm: str, encoded: str) -> bytes:
    """A key's blob, whose first string (RFC 4251 section 5) repeats the line's key type."""
    try:
        blob = _decode_base64(encoded)
    except ValueError:
        raise LineError(f"expected a key in base64, got {_quote(encoded)}") from None
    length = int.from_bytes(blob[:4])
    inner = blob[4 : 4 + length]
    if len(blob) < 4 or len(inner) < length:
        raise LineError("the key is cut short")
    if inner != algorithm.encode("utf-8", "surrogatepass"):
        found = _quote(inner.decode("utf-8", "replace"))
        raise LineError(f"the key type says {_quote(algorithm)}, the key itself {found}")
    return blob


def _decode_base64(encoded: str) -> bytes:
    """Raises ValueError."""
    return binascii.a2b_base64(encoded, strict_mode=True)


def _encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _quote(text: str) -> str:
    return f"'{printable(text, MAX_QUOTED)}'"


def _with_marker(lines: Iterable[HostKeyLine], marker: Marker | None) -> tuple[HostKeyLine, ...]:
    return tuple(line for line in lines if line.marker is marker)


def _find_line(lines: Iterable[HostKeyLine], blob: bytes) -> HostKeyLine | None:
    return next((line for line in lines if line.blob == blob), None)
