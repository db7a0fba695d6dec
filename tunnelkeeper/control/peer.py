"""The process at the other end of a control socket: its user, and whether a client may trust it.

A client that believed any process would show false states, and would send what it has to say to
another user. This module checks the socket file, the folders on the way, and the listening process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_trust import (
    ROOT,
    describe_user,
    find_distrust,
    is_owner_trusted,
)
from tunnelkeeper.net.peer_user import peer_uid_of

if TYPE_CHECKING:
    import socket
    from asyncio.trsock import TransportSocket
    from pathlib import Path


def expected_user(path: Path, *, is_named: bool) -> int:
    """Return the user whose supervisor may listen at a path, beside root.

    is_named: the path was named for this call. Root may then use the supervisor of the user whose
    file it is. A path that root did not name has to be root's own.

    Raises OSError if the file is missing or cannot be reached.
    """
    owner = path.lstat().st_uid
    user = os.geteuid()
    return owner if is_named and user == ROOT else user


def find_untrusted_path(path: Path, user: int) -> str | None:
    """Return why another user could have put a socket here; None if none could.

    Raises OSError.
    """
    distrust = find_distrust(path, user, owner_only=True)
    return None if distrust is None else str(distrust)


def find_untrusted_process(sock: socket.socket | TransportSocket, user: int) -> str | None:
    """Return who listens, if it is neither the user nor root. None if it is.

    If the system cannot tell, the owners of the file and its folders have decided already.
    """
    uid = peer_uid_of(sock)
    if uid is None or is_owner_trusted(uid, user):
        return None
    return f"a process of {describe_user(uid)} listens there"
