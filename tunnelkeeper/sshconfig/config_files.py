"""The files that ssh reads for its configuration, to notice when one of them changes.

Files that are missing belong to them, and the patterns of Include, which may match a new file.
Conditions are not evaluated: an Include in a Match or Host block counts. No setting is read.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.token_expansion import expand_variables
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.sshconfig.tokens import TokenError, expand_home

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Source

SYSTEM_CONFIG = "/etc/ssh/ssh_config"
MAX_DEPTH = 16
"""Files that include each other (READCONF_MAX_DEPTH of OpenSSH's readconf.c)."""

MAX_FILES = 500
SIZE_LIMIT = 1024 * 1024
"""Maximum bytes of a file that is searched for Include."""

_INCLUDE = re.compile(r"^\s*include(?:\s*=\s*|\s+)(.*)$", re.IGNORECASE)


def find_config_files(source: Source, facts: Facts) -> tuple[str, ...]:
    """Return the files that ssh reads for a source, and the patterns. This call blocks."""
    if source is False:
        return ()
    user = f"{facts.home}/.ssh"
    found: dict[str, None] = {}
    if source is not None:
        _add(source, user, facts, found, 0)
    else:
        _add(f"{user}/config", user, facts, found, 0)
        _add(SYSTEM_CONFIG, str(Path(SYSTEM_CONFIG).parent), facts, found, 0)
    return tuple(found)


def _add(path: str, folder: str, facts: Facts, found: dict[str, None], depth: int) -> None:
    """Add a file and those that it includes. folder: that of relative patterns."""
    if path in found or depth > MAX_DEPTH or len(found) >= MAX_FILES:
        return
    found[path] = None
    for pattern in _included_patterns(path, facts):
        absolute = os.path.join(folder, pattern)  # noqa: PTH118  Path would change the pattern
        if not glob.has_magic(absolute):
            _add(absolute, folder, facts, found, depth + 1)
            continue
        found.setdefault(absolute)
        for included in sorted(glob.glob(absolute)):  # noqa: PTH207  as ssh does
            _add(included, folder, facts, found, depth + 1)


def _included_patterns(path: str, facts: Facts) -> list[str]:
    patterns = []
    for line in _read_lines(path):
        match = _INCLUDE.match(line)
        if match is None:
            continue
        try:
            words = shlex.split(match[1], comments=True)
        except ValueError:  # an unbalanced quote, which ssh reports
            continue
        for word in words:
            if "\0" in word:  # no path; glob() raises ValueError for it
                continue
            try:
                patterns.append(expand_home(expand_variables(word, facts.environment), facts))
            except TokenError:
                continue
    return patterns


def _read_lines(path: str) -> list[str]:
    """Return the lines of a regular file; none of another one, which may block or never end."""
    try:
        return os.fsdecode(read_regular_file(path, SIZE_LIMIT)).splitlines()
    except (OSError, ValueError):
        return []
