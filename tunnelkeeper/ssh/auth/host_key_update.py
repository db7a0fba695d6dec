"""UpdateHostKeys: which keys of a known host to learn and to forget, and the change of the files.

The rules are those of client_input_hostkeys() in OpenSSH's clientloop.c and of
hostfile_replace_entries() in its hostfile.c. This module verifies no proof of possession.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.ssh.auth.known_hosts import HASH_MAGIC, parse
from tunnelkeeper.ssh.auth.known_hosts_file import host_key_record, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tunnelkeeper.ssh.auth.known_hosts import HostKeyLine


class KnownName(Struct, frozen=True):
    """A host as the files name it. address: the same with CheckHostIP, otherwise None."""

    host: str
    address: str | None = None

    def match(self, line: HostKeyLine) -> tuple[bool, bool]:
        """Return whether a line is for the host, and whether it is for the address."""
        return line.matches(self.host), self.address is not None and line.matches(self.address)


class Plan(Struct, frozen=True):
    """What to change.

    new: keys to learn. old: lines to remove. is_incomplete: whether the address lacks a key.
    """

    new: tuple[bytes, ...]
    old: tuple[HostKeyLine, ...]
    is_incomplete: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to change."""
        return not (self.new or self.old or self.is_incomplete)


class KeepsFilesError(Exception):
    """The files stay as they are. The text has the reason."""


def make_plan(lines: Iterable[HostKeyLine], name: KnownName, offered: Sequence[bytes]) -> Plan:
    """Return what the keys that a server offers change.

    lines: of the user's files. Raises KeepsFilesError.
    """
    lines = tuple(lines)
    seen = dict.fromkeys(offered, (False, False))
    old: list[HostKeyLine] = []
    for line in lines:
        by_host, by_address = name.match(line)
        if not (by_host or by_address):
            if line.blob in seen:
                raise KeepsFilesError(f"{_at(line)} has one of its keys for another name")
            continue
        _check_line(line, name, by_host=by_host, by_address=by_address)
        if line.blob in seen:
            before = seen[line.blob]
            seen[line.blob] = (before[0] or by_host, before[1] or by_address)
        else:
            old.append(line)
    old_blobs = {line.blob for line in old}
    for line in lines:
        if line.blob in old_blobs and not any(name.match(line)):
            raise KeepsFilesError(f"{_at(line)} has an earlier key for another name")
    new = tuple(blob for blob, matched in seen.items() if not any(matched))
    wanted = (True, name.address is not None)
    return Plan(new, tuple(old), any(matched != wanted for matched in seen.values()))


def _check_line(line: HostKeyLine, name: KnownName, *, by_host: bool, by_address: bool) -> None:
    """Refuse lines that ssh never writes, or that are for other hosts too."""
    if line.marker is not None:
        raise KeepsFilesError(f"{_at(line)} has a marker ({line.marker})")
    is_list = len(line.patterns) > 1
    if name.address is not None and is_list and not (by_host and by_address):
        raise KeepsFilesError(f"{_at(line)} is for another name or address too")
    is_hashed = line.patterns[0].startswith(HASH_MAGIC)
    if not is_hashed and any(set("*?") & set(pattern) for pattern in line.patterns):
        raise KeepsFilesError(f"{_at(line)} has a wildcard")
    if len(line.patterns) > 2:
        raise KeepsFilesError(f"{_at(line)} has more than two names")


class HostKeyChange(Struct, frozen=True):
    """A change of the user's files. keys: all keys of the server, as (type, blob).

    proven: the blobs that the server has proved to own.
    """

    paths: tuple[str, ...]
    name: KnownName
    keys: tuple[tuple[str, bytes], ...]
    proven: frozenset[bytes]
    hashed: bool

    def apply(self) -> Plan:
        """Change the files, and return what was changed. Blocks on the disk and on locks.

        New keys go into the first file. Each file is replaced atomically; its earlier content stays
        in `FILE.old`, as with ssh. The files are read again under the lock that other writers use.

        Raises KeepsFilesError, and OSError.
        """
        paths = [path for path in self.paths if path != os.devnull and Path(path).exists()]
        if not paths:
            raise KeepsFilesError("there is no known_hosts file of the user")
        with locked(paths[0]):
            texts = {path: _read_text(path) for path in paths}
            lines = [line for path in paths for line in parse(texts[path], path)[0]]
            plan = make_plan(lines, self.name, [blob for _, blob in self.keys])
            if not self.proven.issuperset(plan.new):
                raise KeepsFilesError("known_hosts was changed by another program meanwhile")
            if not plan.is_empty:
                for path in paths:
                    self._rewrite(path, texts[path], is_first=path == self.paths[0])
        return plan

    def _rewrite(self, path: str, text: str, *, is_first: bool) -> None:
        keys = self.keys if is_first else ()
        matched = {blob: (False, False) for _, blob in keys}
        raw_lines = text.removesuffix("\n").split("\n") if text else []
        kept: list[str] = []
        for raw in raw_lines:
            parsed = parse(raw, path)[0]
            by_name = self.name.match(parsed[0]) if parsed else (False, False)
            if parsed and any(by_name) and parsed[0].marker is None:
                if parsed[0].blob not in matched:
                    continue
                before = matched[parsed[0].blob]
                matched[parsed[0].blob] = (before[0] or by_name[0], before[1] or by_name[1])
            kept.append(raw)
        wanted = (True, self.name.address is not None)
        added = [
            self._records(path, algorithm, blob)
            for algorithm, blob in keys
            if matched[blob] != wanted
        ]
        if len(kept) == len(raw_lines) and not added:
            return
        content = "".join(f"{raw}\n" for raw in kept).encode("utf-8", "surrogateescape")
        _replace(path, content + b"".join(added))

    def _records(self, path: str, algorithm: str, blob: bytes) -> bytes:
        """Return the line of a new key; with hashed names, the address has a line of its own."""
        host, address = self.name.host, self.name.address
        if address is None:
            return host_key_record(path, host, algorithm, blob, hashed=self.hashed)
        if not self.hashed:
            record = host_key_record(path, host, algorithm, blob, hashed=False)
            names, _, rest = record.partition(b" ")
            return names + b"," + address.encode() + b" " + rest
        return b"".join(
            host_key_record(path, each, algorithm, blob, hashed=True) for each in (host, address)
        )


def _replace(path: str, content: bytes) -> None:
    """Replace a file, and keep the earlier one as `FILE.old`."""
    target = Path(os.path.realpath(path))
    status = target.stat()
    backup = target.with_name(f"{target.name}.old")
    backup.unlink(missing_ok=True)
    os.link(target, backup)

    def grant(descriptor: int) -> None:
        os.fchmod(descriptor, status.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.fchown(descriptor, status.st_uid, status.st_gid)

    write_atomically(target, content, grant)


def _read_text(path: str) -> str:
    return read_regular_file(path).decode("utf-8", "surrogateescape")


def _at(line: HostKeyLine) -> str:
    return f"{line.path}:{line.number}"
