"""Lists of revoked keys: the files of RevokedHostKeys (ssh_config(5)), parsed. It opens no file.

A file is a text with one public key per line, or a key revocation list (KRL) in the binary format
of OpenSSH's PROTOCOL.krl. ssh refuses every host key if it cannot read a list, so nothing here is
skipped: what cannot be parsed is an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth.key_blobs import WireError, WireReader
from tunnelkeeper.ssh.auth.openssh_certificate import PresentedKey, presented_key

if TYPE_CHECKING:
    from collections.abc import Callable

KRL_MAGIC = b"SSHKRL\n\0"
KRL_FORMAT_VERSION = 1
ANY_CA = b""
"""The CA key of a section that applies to the certificates of all CAs."""


class RevocationListError(ValueError):
    """Raised for a list that cannot be parsed; the text gives the reason."""


@dataclass(slots=True)
class RevokedCertificates:
    """The revoked certificates of one CA. Each range of serials includes its ends.

    A list may have millions of serials, so each kind is searched by bisection. `sort` must follow
    the last change.

    bitmaps: pairs of an offset and bytes, most significant first, whose bit N revokes the serial
    offset + N.
    """

    serials: array[int] = field(default_factory=lambda: array("Q"))
    ranges: list[tuple[int, int]] = field(default_factory=list)
    bitmaps: list[tuple[int, bytes]] = field(default_factory=list)
    key_ids: set[bytes] = field(default_factory=set)
    _range_ends: list[int] = field(default_factory=list)  # the highest up to each range
    _bitmap_ends: list[int] = field(default_factory=list)

    def sort(self) -> None:
        """Prepare the search."""
        self.serials = array("Q", sorted(self.serials))
        self.ranges.sort()
        self._range_ends = list(accumulate((high for _, high in self.ranges), max))
        self.bitmaps.sort()
        ends = (offset + 8 * len(bits) - 1 for offset, bits in self.bitmaps)
        self._bitmap_ends = list(accumulate(ends, max))

    def has(self, key: PresentedKey) -> bool:
        """Return whether the certificate is revoked. A serial of 0 counts as none, as in ssh."""
        if key.key_id in self.key_ids:
            return True
        return key.serial != 0 and (
            self._is_listed(key.serial)
            or self._is_in_range(key.serial)
            or self._is_in_bitmap(key.serial)
        )

    def _is_listed(self, serial: int) -> bool:
        index = bisect_left(self.serials, serial)
        return index < len(self.serials) and self.serials[index] == serial

    def _is_in_range(self, serial: int) -> bool:
        """Return whether a range that begins at or before a serial ends at or after it."""
        index = bisect_left(self.ranges, (serial + 1,)) - 1
        return index >= 0 and self._range_ends[index] >= serial

    def _is_in_bitmap(self, serial: int) -> bool:
        index = bisect_left(self.bitmaps, (serial + 1,)) - 1
        while index >= 0 and self._bitmap_ends[index] >= serial:
            offset, bits = self.bitmaps[index]
            byte, bit = divmod(serial - offset, 8)
            if byte < len(bits) and bits[-1 - byte] >> bit & 1:
                return True
            index -= 1  # bitmaps that ssh-keygen writes do not overlap
        return False


@dataclass(slots=True)
class RevocationList:
    """The revoked keys of one file. certificates: by CA key."""

    blobs: set[bytes] = field(default_factory=set)
    sha1: set[bytes] = field(default_factory=set)
    sha256: set[bytes] = field(default_factory=set)
    certificates: dict[bytes, RevokedCertificates] = field(default_factory=dict)

    def revokes(self, key: PresentedKey) -> bool:
        """Return whether a key, its certificate or the CA of the certificate is revoked."""
        if self._has_key(key.blob):
            return True
        if key.ca_blob is None:
            return False
        of_its_ca = (self.certificates.get(ca) for ca in (key.ca_blob, ANY_CA))
        return self._has_key(key.ca_blob) or any(
            revoked is not None and revoked.has(key) for revoked in of_its_ca
        )

    def _has_key(self, blob: bytes) -> bool:
        return (
            blob in self.blobs
            or (bool(self.sha1) and hashlib.sha1(blob, usedforsecurity=False).digest() in self.sha1)
            or (bool(self.sha256) and hashlib.sha256(blob).digest() in self.sha256)
        )


def parse(data: bytes) -> RevocationList:
    """Return the list in a file's bytes.

    Raises RevocationListError.
    """
    if not data.startswith(KRL_MAGIC):
        return _parse_text(data)
    try:
        return _parse_krl(WireReader(data[len(KRL_MAGIC) :]))
    except WireError:
        raise RevocationListError("the key revocation list is cut short") from None


def _parse_text(data: bytes) -> RevocationList:
    found = RevocationList()
    for number, raw in enumerate(data.split(b"\n"), start=1):
        line = raw.strip(b" \t\r")
        if line and not line.startswith(b"#"):
            found.blobs.add(_parse_line(line, number))
    return found


def _parse_line(line: bytes, number: int) -> bytes:
    """Return the plain key of a line: a public key or a certificate."""
    try:
        name, encoded, *_ = line.split(None, 2)
        blob = base64.b64decode(encoded, validate=True)
        if WireReader(blob).string() == name:
            return presented_key(blob).blob
    except (ValueError, binascii.Error):
        pass
    text = printable(line.decode(errors="replace"), 60)
    raise RevocationListError(f"line {number}: expected a public key, got '{text}'")


def _parse_krl(reader: WireReader) -> RevocationList:
    version = reader.integer(4)
    if version != KRL_FORMAT_VERSION:
        raise RevocationListError(f"version {version} of the KRL format is not supported")
    reader.take(24)  # the version of the list, its date and flags
    reader.string()  # reserved
    reader.string()  # a comment
    found = RevocationList()
    sections: dict[int, Callable[[WireReader], None]] = {
        1: lambda section: _parse_certificates(section, found),
        2: lambda section: found.blobs.update(section.strings()),
        3: lambda section: found.sha1.update(section.strings()),
        4: lambda key: _skip_signature(key, reader),
        5: lambda section: found.sha256.update(section.strings()),
        255: _parse_extension,
    }
    while not reader.is_at_end:
        kind = reader.integer(1)
        section = reader.string()
        if kind not in sections:
            raise RevocationListError(f"section {kind} of the KRL format is not supported")
        body = WireReader(section)
        sections[kind](body)
        _require_end(body)
    for revoked in found.certificates.values():
        revoked.sort()
    return found


def _parse_certificates(reader: WireReader, found: RevocationList) -> None:
    ca_blob = reader.string()
    reader.string()  # reserved
    revoked = found.certificates.setdefault(ca_blob, RevokedCertificates())
    while not reader.is_at_end:
        kind = reader.integer(1)
        section = WireReader(reader.string())
        match kind:
            case 0x20:
                revoked.serials.extend(_serials(section.take_rest()))
            case 0x21:
                revoked.ranges.append((section.integer(8), section.integer(8)))
            case 0x22:
                offset = section.integer(8)
                revoked.bitmaps.append((offset, section.string()))
            case 0x23:
                revoked.key_ids.update(section.strings())
            case 0x39:
                _parse_extension(section)
            case _:
                raise RevocationListError(f"section {kind:#x} of the KRL format is not supported")
        _require_end(section)


def _serials(data: bytes) -> array[int]:
    """Return the serials of a list. Raises WireError."""
    if len(data) % 8:
        raise WireError("the data is cut short")
    serials = array("Q", data)
    if sys.byteorder == "little":
        serials.byteswap()
    return serials


def _parse_extension(reader: WireReader) -> None:
    name = reader.string()
    if reader.integer(1):
        text = printable(name.decode(errors="replace"), 60)
        raise RevocationListError(f"the KRL needs the extension {text}, which is not supported")
    reader.string()


def _skip_signature(key: WireReader, reader: WireReader) -> None:
    """Skip a signature of the list, which ssh does not verify either."""
    key.take_rest()
    reader.string()


def _require_end(section: WireReader) -> None:
    if not section.is_at_end:
        raise RevocationListError("a section of the key revocation list has unknown data")
