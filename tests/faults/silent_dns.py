"""A name server that never answers, as the only one that one program knows."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.faults.mounts import with_files_replaced
from tests.faults.servers import silent_name_server

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox
    from tests.faults.background_loop import BackgroundLoop


def with_silent_dns(sandbox: Sandbox, background: BackgroundLoop, hosts: str) -> tuple[str, ...]:
    """Return a command prefix that makes a program use that name server. Needs root.

    hosts: the content of /etc/hosts. The name server runs until the background loop is closed.
    """
    address = f"127.53.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    background.enter(silent_name_server(address))
    etc = sandbox.subdirectory("etc")
    (etc / "hosts").write_text(hosts)
    (etc / "resolv.conf").write_text(f"nameserver {address}\n")
    return with_files_replaced({f"/etc/{name}": etc / name for name in ("hosts", "resolv.conf")})
