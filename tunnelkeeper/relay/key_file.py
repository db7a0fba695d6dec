"""An authorized_keys file whose lines are found by their key, however many it has.

A line is parsed when its key is offered. Before that, only the keys themselves are decoded, because
parsing the options of a hundred thousand lines takes seconds. `authorized_keys` parses the lines.
"""

from __future__ import annotations

import binascii
import logging
import re
from itertools import accumulate
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import authorized_keys
from tunnelkeeper.relay.authorized_keys import (
    AuthorizedKey,
    LineError,
    PublicKeyError,
    parse_blob,
    split_line,
)
from tunnelkeeper.relay.key_options import OptionError, parse_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

CHECKED_LINES = 1000
"""Lines that are parsed at once for their warnings. `relay check` parses all lines."""

LINES_PER_KEY = 16
"""Lines of one key that are looked at. Only the first one counts, and the first as an authority."""

MAX_PARSED = 1000
"""Lines that are kept parsed."""

# The base64 of a blob begins with AAAA: the length of the key's type is less than 256.
_ENCODED_BLOB = re.compile(rb"AAAA[A-Za-z0-9+/]+={0,2}")

_CHUNK = 64 * 1024

log = logging.getLogger(__name__)


class KeyFile:
    """The keys of a file. zone: the time zone of expiry times without one; None: the system's."""

    def __init__(self, data: bytes, path: str, zone: tzinfo | None = None) -> None:
        self._data = data
        self._path = path
        self._zone = zone
        self._positions = _index(data)
        chunks = range(0, len(data), _CHUNK)
        counts = (data.count(b"\n", start, start + _CHUNK) for start in chunks)
        self._lines_before = list(accumulate(counts, initial=0))  # each chunk
        self._parsed: dict[tuple[bytes, bool], AuthorizedKey | None] = {}

    def __contains__(self, blob: bytes) -> bool:
        """Return whether a blob appears in the file, even in a line that cannot be used."""
        return blob in self._positions

    def __iter__(self) -> Iterator[AuthorizedKey]:
        """Yield every key that may log in, as itself or as an authority."""
        for blob in self._positions:
            for is_authority in (False, True):
                key = self.find(blob, is_authority=is_authority)
                if key is not None:
                    yield key

    def warnings(self) -> tuple[str, ...]:
        """Return a `path:number: reason` for each skipped line among the first CHECKED_LINES."""
        end = -1
        for _ in range(CHECKED_LINES):
            end = self._data.find(b"\n", end + 1)
            if end < 0:
                return authorized_keys.parse(_text(self._data), self._path, self._zone)[1]
        _, found = authorized_keys.parse(_text(self._data[:end]), self._path, self._zone)
        rest = "the lines that follow are checked when their keys log in, and by `relay check`"
        return (*found, f"{printable(self._path, 4096)}:{CHECKED_LINES + 1}: {rest}")

    def find(self, blob: bytes, *, is_authority: bool) -> AuthorizedKey | None:
        """Return the line of a key, or of an authority, with the rules of authorized_keys.parse."""
        wanted = (blob, is_authority)
        if blob not in self._positions:
            return None
        if wanted not in self._parsed:
            if len(self._parsed) >= MAX_PARSED:
                self._parsed.clear()
            self._parsed[wanted] = self._parse(blob, is_authority=is_authority)
        return self._parsed[wanted]

    def _parse(self, blob: bytes, *, is_authority: bool) -> AuthorizedKey | None:
        positions = self._positions[blob]
        for position in positions if isinstance(positions, list) else [positions]:
            start = self._data.rfind(b"\n", 0, position) + 1
            end = self._data.find(b"\n", position)
            line = _text(self._data[start : end if end >= 0 else None])
            chunk = start // _CHUNK
            in_chunk = self._data.count(b"\n", chunk * _CHUNK, start)
            number = self._lines_before[chunk] + in_chunk + 1
            try:
                options_text, algorithm, encoded, comment = split_line(line)
                if parse_blob(algorithm, encoded) != blob:
                    continue  # it appears in the comment of another key
                options = parse_options(options_text, self._zone)
            except (LineError, PublicKeyError):
                continue
            except OptionError as error:
                log.warning("%s:%d: %s", printable(self._path, 4096), number, error)
                return None
            if options.cert_authority == is_authority:
                return AuthorizedKey(self._path, number, algorithm, blob, comment, options)
        return None


def _index(data: bytes) -> dict[bytes, int | list[int]]:
    """Return where each blob appears: a position, or a list of the first ones."""
    positions: dict[bytes, int | list[int]] = {}
    decode = binascii.a2b_base64
    for match in _ENCODED_BLOB.finditer(data):
        try:
            blob = decode(match[0], strict_mode=True)
        except binascii.Error:
            continue
        position = match.start()
        earlier = positions.setdefault(blob, position)
        if earlier is position:
            continue
        if isinstance(earlier, list):
            if len(earlier) < LINES_PER_KEY:
                earlier.append(position)
        elif earlier != position:
            positions[blob] = [earlier, position]
    return positions


def _text(data: bytes) -> str:
    """Decode lines. Bytes that are not UTF-8 are harmless in a comment."""
    return data.decode("utf-8", "backslashreplace")


NO_KEYS = KeyFile(b"", "")
"""The keys of an unknown user."""
