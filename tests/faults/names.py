"""A machine whose name server never answers, for one program alone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.faults.mounts import seeing
from tests.faults.servers import mute_dns

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.faults.background import Background


def deafly(site: Site, background: Background, hosts: str) -> tuple[str, ...]:
    """Return the command prefix that puts a program there. hosts: the content of /etc/hosts.

    The name server takes questions until the background is closed. Needs root.
    """
    address = f"127.53.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    background.enter(mute_dns(address))
    here = site.subdirectory("etc")
    (here / "hosts").write_text(hosts)
    (here / "resolv.conf").write_text(f"nameserver {address}\n")
    return seeing({f"/etc/{name}": here / name for name in ("hosts", "resolv.conf")})
