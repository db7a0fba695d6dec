"""Parsing of known_hosts, lookup of a host's keys, and verdicts on the key a server presents.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. The rules are those of OpenSSH's
hostfile.c and of check_host_key() in its sshconnect.c; a docstring says where they are stricter.
This module opens no file, verifies no signature or certificate, and prompts no user.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.wildcards import ascii_lower, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

SALT_BYTES = hashlib.sha1(usedforsecurity=False).digest_size
"""Bytes of a hashed name's salt: as many as of its hash (host_hash() in hostfile.c)."""

HASH_MAGIC = "|1|"  # "1" is HMAC-SHA1, the only defined hash
MAX_QUOTED = 60  # characters of a malformed line to quote in a warning
PATTERN_CHARACTERS = frozenset("*?!|")  # these are not literal in a host name


class Marker(StrEnum):
    """The marker of a line whose key is not a host key."""

    CERT_AUTHORITY = "@cert-authority"
    REVOKED = "@revoked"


class LineError(ValueError):
    """Raised for a malformed known_hosts line; the text gives the reason."""


class HostKeyLine(Struct, frozen=True):
    """One key of a known_hosts file and the hosts that it belongs to.

    number: the line number, from 1. patterns: host patterns in lower case, or the one hashed name
    as written. algorithm: the key type, such as `ssh-rsa`. blob: the public key (RFC 4253 section
    6.6).
    """

    path: str
    number: int
    marker: Marker | None
    patterns: tuple[str, ...]
    algorithm: str
    blob: bytes

    def matches(self, name: str) -> bool:
        """Return whether the line matches a name in the form of `host_pattern`."""
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


class KnownKeys(Struct, frozen=True):
    """The lines of known_hosts that match one host, in file order.

    host_keys_without_port: for a port other than 22, if host_keys is empty, the keys of the host
    name without a port. A presented key that equals one of them is trusted; otherwise they are
    ignored.
    """

    host_keys: tuple[HostKeyLine, ...] = ()
    ca_keys: tuple[HostKeyLine, ...] = ()
    revoked: tuple[HostKeyLine, ...] = ()
    host_keys_without_port: tuple[HostKeyLine, ...] = ()


def combined_keys(first: KnownKeys, second: KnownKeys) -> KnownKeys:
    """Return the keys of both, with the order of the lines. The name without port comes last."""
    host_keys = first.host_keys + second.host_keys
    return KnownKeys(
        host_keys,
        first.ca_keys + second.ca_keys,
        first.revoked + second.revoked,
        () if host_keys else first.host_keys_without_port,
    )


class KnownHosts(Struct, frozen=True):
    """The lines of all known_hosts files, in reading order."""

    lines: tuple[HostKeyLine, ...] = ()

    def keys_for(self, host: str, port: int, alias: str | None) -> KnownKeys:
        """Return the keys of a host under its name: the alias, `host` or `[host]:port`.

        If a port other than 22 has no host key, that of the name without port is used ("found
        matching key w/out port" of ssh -v). CA keys of both names count. @revoked lines count under
        both names, which is stricter than OpenSSH.
        """
        name = host_pattern(host, port, alias)
        bare_name = host_pattern(host, DEFAULT_SSH_PORT, alias)
        own = [line for line in self.lines if line.matches(name)]
        bare = own if bare_name == name else [x for x in self.lines if x.matches(bare_name)]
        host_keys = _with_marker(own, None)
        return KnownKeys(
            host_keys=host_keys,
            ca_keys=tuple(dict.fromkeys(_with_marker([*own, *bare], Marker.CERT_AUTHORITY))),
            revoked=tuple(dict.fromkeys(_with_marker([*own, *bare], Marker.REVOKED))),
            host_keys_without_port=() if host_keys else _with_marker(bare, None),
        )


class Trusted(Struct, frozen=True):
    """The line has this key, or the CA key that signed its certificate."""

    line: HostKeyLine


class Unknown(Struct, frozen=True):
    """No key of this host is known."""


class Changed(Struct, frozen=True):
    """The line has another key of the same type for this host."""

    line: HostKeyLine


class OtherTypeKnown(Struct, frozen=True):
    """The host is known only with keys of other types; OpenSSH also calls this changed."""

    lines: tuple[HostKeyLine, ...]


class Revoked(Struct, frozen=True):
    """The line revokes the key or the CA key that signed it."""

    line: HostKeyLine


Verdict = Trusted | Unknown | Changed | OtherTypeKnown | Revoked
CaVerdict = Trusted | Unknown | Revoked


def parse(text: str, path: str) -> tuple[tuple[HostKeyLine, ...], tuple[str, ...]]:
    """Return the lines of a file's text, and a warning `path:number: reason` per malformed line."""
    lines: list[HostKeyLine] = []
    warnings: list[str] = []
    # splitlines() also splits where ssh does not, so the line numbers would be wrong.
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
    """Return the verdict on a plain host key.

    algorithm: the key type in the blob (`ssh-rsa`, never `rsa-sha2-256`).
    """
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
    """Return the verdict on a host certificate by its CA key and the host key that it certifies.

    After Unknown, the host key may still be checked as a plain key, as in OpenSSH. Trusted applies
    to the CA key only: the caller must verify the certificate's signature, names and dates.
    """
    if line := _find_line(known_keys.revoked, host_blob) or _find_line(known_keys.revoked, ca_blob):
        return Revoked(line)
    if line := _find_line(known_keys.ca_keys, ca_blob):
        return Trusted(line)
    return Unknown()


def known_key_types(known_keys: KnownKeys) -> tuple[str, ...]:
    """Return the types of a host's known keys, in file order without duplicates."""
    lines = (*known_keys.host_keys, *known_keys.host_keys_without_port)
    return tuple(dict.fromkeys(line.algorithm for line in lines))


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint (`SHA256:...`), as ssh-keygen -l prints it."""
    return "SHA256:" + _encode_base64(hashlib.sha256(blob).digest()).rstrip("=")


def host_pattern(host: str, port: int, alias: str | None) -> str:
    """Return the name of a host in known_hosts, as OpenSSH writes it.

    host: without brackets. An alias (HostKeyAlias of ssh_config(5)) replaces host and port.
    """
    name = alias or (host if port == DEFAULT_SSH_PORT else f"[{host}]:{port}")
    return ascii_lower(name)


def hash_host(pattern: str, salt: bytes) -> str:
    """Return a hashed name (HashKnownHosts of ssh_config(5)). salt: SALT_BYTES random bytes."""
    name = ascii_lower(pattern).encode("utf-8", "surrogatepass")
    digest = hmac.digest(salt, name, "sha1")
    return f"{HASH_MAGIC}{_encode_base64(salt)}|{_encode_base64(digest)}"


def format_line(pattern: str, algorithm: str, blob: bytes, salt: bytes | None) -> str:
    """Return the line for a host key, without newline. A salt makes the name hashed.

    Raises ValueError if the line would not parse back to exactly this name and key.
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
    # Only spaces and tabs separate fields; str.split() splits at any Unicode space.
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
    """Return a key's blob. Its first string (RFC 4251 section 5) must equal the line's key type."""
    try:
        blob = _decode_base64(encoded)
    except ValueError:
        raise LineError(f"expected a key in base64, got {_quote(encoded)}") from None
    length = int.from_bytes(blob[:4])
    inner = blob[4 : 4 + length]
    if len(blob) < 4 or len(inner) < length:
        raise LineError("the key is cut short")
    if inner != algorithm.encode("utf-8", "surrogatepass"):
        actual = _quote(inner.decode("utf-8", "replace"))
        raise LineError(f"the key type says {_quote(algorithm)}, the key itself {actual}")
    return blob


def _decode_base64(encoded: str) -> bytes:
    """Decode strict base64; raises ValueError."""
    return binascii.a2b_base64(encoded, strict_mode=True)


def _encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _quote(text: str) -> str:
    return f"'{printable(text, MAX_QUOTED)}'"


def _with_marker(lines: Iterable[HostKeyLine], marker: Marker | None) -> tuple[HostKeyLine, ...]:
    return tuple(line for line in lines if line.marker is marker)


def _find_line(lines: Iterable[HostKeyLine], blob: bytes) -> HostKeyLine | None:
    return next((line for line in lines if line.blob == blob), None)
