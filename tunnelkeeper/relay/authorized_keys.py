"""Parser of authorized_keys: which keys may log in, and what each may do. It opens no file.

The format is that of sshd(8), AUTHORIZED_KEYS FILE FORMAT. A line that is malformed, or whose
options cannot all be enforced, is skipped with one warning. Unlike sshd, which tries each line of a
key until one accepts it, only the first line of a key counts, even if that line is skipped. A later
line never grants a key what its first line refuses. Blobs are checked for form and size; signatures
are not checked here.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay.key_options import KeyOptions, OptionError, parse_options

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["AuthorizedKey", "KeyOptions", "parse"]

_BLANKS = " \t"
_BLANK = re.compile(r"[ \t]+")
# sshkey_advance_past_options() in OpenSSH's sshkey.c: blanks inside quotes belong to the options.
_OPTIONS = re.compile(r'(?:\\"|[^" \t]|"(?:\\"|[^"])*+")++')

# The number of strings and integers (RFC 4251 section 5) in a blob, including the type name:
# RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4, and OpenSSH's PROTOCOL.u2f.
_FIELDS = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
KEY_TYPES = frozenset(_FIELDS)
MINIMUM_RSA_BITS = 1024  # sshd_config(5), RequiredRSASize


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """A line of authorized_keys: a key that may log in, or the authority of certificates that may.

    number: its line, from 1. algorithm: the key's type, such as `ssh-rsa`. blob: the public key
    (RFC 4253 section 6.6). comment: as written; untrusted text.
    """

    path: str
    number: int
    algorithm: str
    blob: bytes
    comment: str
    options: KeyOptions


class PublicKeyError(ValueError):
    """Raised for an unusable public key; the text gives the reason."""


class LineError(ValueError):
    """Raised for a line without a usable key; the text gives the reason."""


def parse(
    text: str, path: str, zone: tzinfo | None = None
) -> tuple[tuple[AuthorizedKey, ...], tuple[str, ...]]:
    """Parse a file's text; return its keys and a `path:number: reason` for each skipped line.

    zone: the time zone of expiry times without one; None: the system's.
    """
    keys: list[AuthorizedKey] = []
    warnings: list[str] = []
    first_lines: dict[tuple[bytes, bool], int] = {}
    # Not splitlines(): it also splits where sshd does not, so line numbers would differ.
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r").strip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(_parse_line(line, path, number, zone, first_lines))
        except (LineError, OptionError, PublicKeyError) as error:
            warnings.append(f"{printable(path, 4096)}:{number}: {error}")
    return tuple(keys), tuple(warnings)


def _parse_line(
    line: str,
    path: str,
    number: int,
    zone: tzinfo | None,
    first_lines: dict[tuple[bytes, bool], int],
) -> AuthorizedKey:
    """Parse a line, and enter its number in first_lines if its key appears for the first time.

    A key may appear once for itself and once as a certificate authority.
    """
    options_text, algorithm, encoded, comment = split_line(line)
    blob = parse_blob(algorithm, encoded)
    try:
        options = parse_options(options_text, zone)
    except OptionError:
        for is_authority in (False, True):
            first_lines.setdefault((blob, is_authority), number)
        raise
    earlier = first_lines.setdefault((blob, options.cert_authority), number)
    if earlier != number:
        raise LineError(f"this key is already in line {earlier}; the first line counts")
    return AuthorizedKey(path, number, algorithm, blob, comment, options)


def split_line(line: str) -> tuple[str, str, str, str]:
    """Split a line into options (possibly empty), key type, key and comment. Raises LineError."""
    line = line.rstrip("\r").strip(_BLANKS)
    if line.startswith("#"):
        raise LineError("the line is a comment")
    options_text = ""
    if _BLANK.split(line, maxsplit=1)[0] not in KEY_TYPES:
        match = _OPTIONS.match(line)
        if match is None or line[match.end() :][:1] not in _BLANKS:
            raise LineError("a quote in the options is not closed")
        options_text, line = match[0], line[match.end() :].lstrip(_BLANKS)
    algorithm, encoded, comment, *_ = *_BLANK.split(line, maxsplit=2), "", "", ""
    if algorithm not in KEY_TYPES:
        found = f"'{printable(algorithm, 60)}'" if algorithm else "nothing"
        raise LineError(f"expected a key type such as ssh-ed25519 after the options, got {found}")
    if not encoded:
        raise LineError(f"expected a key in base64 after '{algorithm}'; the line ends there")
    return options_text, algorithm, encoded, comment


def parse_blob(algorithm: str, encoded: str) -> bytes:
    """Decode and check the blob of a key. algorithm: one of KEY_TYPES.

    Raises PublicKeyError.
    """
    try:
        blob = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        shown = printable(encoded, 60)
        raise PublicKeyError(f"expected a key in base64, got '{shown}'") from None
    fields = _strings(blob)
    if fields[0] != algorithm.encode("ascii"):
        found = printable(fields[0].decode("utf-8", "replace"), 60)
        raise PublicKeyError(f"the key type is '{algorithm}', but the key itself is '{found}'")
    if len(fields) != _FIELDS[algorithm]:
        raise PublicKeyError(f"the key is malformed for type '{algorithm}'")
    bits = int.from_bytes(fields[-1]).bit_length()
    if algorithm == "ssh-rsa" and bits < MINIMUM_RSA_BITS:
        raise PublicKeyError(f"expected an RSA key of {MINIMUM_RSA_BITS} bits or more, got {bits}")
    return blob


def _strings(blob: bytes) -> list[bytes]:
    """Split a blob into its strings; return at least one."""
    strings: list[bytes] = []
    while blob or not strings:
        length = int.from_bytes(blob[:4])
        string = blob[4 : 4 + length]
        if len(blob) < 4 or len(string) < length:
            raise PublicKeyError("the key is truncated")
        strings.append(string)
        blob = blob[4 + length :]
    return strings
