"""Ad-hoc tunnels: those that a command opens and that no config file has. It opens none."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.host_spec import HostSpecError, parse_host_spec
from tunnelkeeper.core.tunnel_names import make_name_from_host, make_unique

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from tunnelkeeper.core.configuration import Tunnel


@dataclass(frozen=True, slots=True)
class AdHoc:
    """What an ad-hoc tunnel has besides its configuration.

    table: its table, as the config file would have it. ends_at: when it ends by itself, in
    monotonic seconds; inf for no such time.
    """

    table: Mapping[str, object] = field(default_factory=dict)
    ends_at: float = inf


def name_for_host(host: str, taken: Container[str]) -> str:
    """Return a name for a tunnel to a host: its first label, with a number if that is taken."""
    try:
        label = make_name_from_host(parse_host_spec(host).host, ())
    except HostSpecError:  # the table is refused for this
        label = "tunnel"
    return make_unique(label, taken)


def names_with_other_settings(
    ad_hoc: Mapping[str, Tunnel], configured: Mapping[str, Tunnel]
) -> list[str]:
    """Return the ad-hoc tunnels whose name the config file has with other settings.

    With equal settings, the file takes the tunnel over, and its connection stays.
    """
    return [
        name for name, tunnel in ad_hoc.items() if name in configured and configured[name] != tunnel
    ]
