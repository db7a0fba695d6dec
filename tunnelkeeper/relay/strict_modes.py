"""StrictModes of sshd_config(5): files of a relay that other users could write are not used.

relay.toml is always checked, when it is read (`config.toml_document`). `strict_modes = false` is
for host keys and authorized keys on file systems without owners and modes. A host key that others
can read is always refused, as sshd does.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from tunnelkeeper.config import Problem
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.file_trust import ROOT, find_strict_distrust

if TYPE_CHECKING:
    from pathlib import Path

_GROUP = stat.S_IRWXG
_OTHERS = stat.S_IRWXO


class UntrustedFileError(Exception):
    """Raised for a file that other users could write. hint: the commands that mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def ensure_trusted(path: Path) -> None:
    """Check who can write a file, and each folder that leads to it.

    Raises UntrustedFileError, OSError.
    """
    if reasons := find_strict_distrust(path):
        found = [reason.describe(str(path)) for reason in reasons]
        described = "; ".join(each.text for each in found)
        hint = " && ".join(dict.fromkeys(each.hint for each in found))
        raise UntrustedFileError(f"{printable(str(path), 4096)}: {described}", hint)


def find_problems(path: Path) -> list[Problem]:
    """Return the problems of `relay check` about who can write a file.

    Root can check a relay that another user runs. The owner of the file, or of the folder that it
    is in, is then taken for that user.
    """
    try:
        user = os.geteuid()
        if user == ROOT:
            user = path.stat().st_uid or path.parent.stat().st_uid
        reasons = find_strict_distrust(path, user)
    except OSError:
        return []  # reported when the file is read
    found = [reason.describe(str(path)) for reason in reasons]
    return [Problem(str(path), None, "", each.text, each.hint) for each in found]


def private_key_problem(status: os.stat_result) -> str | None:
    """Return why the modes of a private key are refused, or None. By sshkey_perm_ok() of OpenSSH.

    A key of root that is readable for a group is how another user gets to read it.
    """
    mode = stat.S_IMODE(status.st_mode)
    is_for_group = status.st_uid == ROOT != os.geteuid()
    if not mode & (_OTHERS if is_for_group else _GROUP | _OTHERS):
        return None
    return f"others can read it (mode {mode:04o})"
