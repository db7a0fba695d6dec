"""The text of `relay status`: a row for each client, and the refusals.

Pure: it measures no terminal. Text of other machines is made printable here, independently of the
relay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable, quoted
from tunnelkeeper.presentation.formatting import (
    format_last_seen,
    format_moment,
    format_size,
    parse_time,
    time_since,
)

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.core.relay_snapshot import BindingSnapshot, ClientSnapshot, RelaySnapshot

HEADERS = ("USER", "ADDRESS", "HOLDS", "SINCE", "CHANNELS", "IN / OUT")
REFUSALS_SHOWN = 10
BANS_SHOWN = 20
DEPARTURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a client: a text for each of HEADERS."""

    user: str
    address: str
    holds: str
    since: str
    channels: str
    traffic: str


def client_row(client: ClientSnapshot, now: datetime) -> Row:
    """Return the row of a client, with each binding on a line of its own."""
    return Row(
        user=printable(client.user),
        address=printable(client.address),
        holds="\n".join(map(_binding_text, client.holds)),
        since=time_since(client.since, now),
        channels=str(client.channels),
        traffic=f"{format_size(client.bytes_in)} / {format_size(client.bytes_out)}",
    )


def heading(relay: RelaySnapshot) -> str:
    """Return where the relay listens and how many clients are connected."""
    where = ", ".join(map(printable, relay.listen))
    waiting = f", {relay.waiting} not logged in yet" if relay.waiting else ""
    return f"listening on {where}; {len(relay.clients)} connected{waiting}"


def refusal_lines(relay: RelaySnapshot, *, utc: bool = False) -> list[str]:
    """Return a line of refusal counts and a line for each recent refusal; empty without any."""
    refusals = relay.refusals
    if not refusals.recent:
        return []
    counts = ", ".join(
        f"{count} {kind}{'' if count == 1 else 's'}"
        for kind, count in (
            ("connection", refusals.connections),
            ("login", refusals.logins),
            ("listener", refusals.listens),
            ("channel", refusals.opens),
        )
        if count
    )
    started_at = format_moment(parse_time(relay.started_at), utc=utc)
    lines = [f"refused since {started_at}: {counts}"]
    for refusal in refusals.recent[-REFUSALS_SHOWN:]:
        who = f"{refusal.address} {quoted(refusal.user)}" if refusal.user else refusal.address
        at = format_moment(parse_time(refusal.at), utc=utc)
        often = f" ({refusal.count:,} times)" if refusal.count > 1 else ""
        text = f"{at}  {refusal.what:10}  {who}: {refusal.reason}{often}"
        lines.append(printable(text, 1000))
    return lines


def ban_lines(relay: RelaySnapshot, *, utc: bool = False) -> list[str]:
    """Return a line for each ban, newest last; empty without any."""
    if not relay.bans:
        return []
    lines = [f"banned: {len(relay.bans)}"]
    if len(relay.bans) > BANS_SHOWN:
        lines.append(f"the newest {BANS_SHOWN} of them; --json lists all")
    for ban in relay.bans[-BANS_SHOWN:]:
        since = format_moment(parse_time(ban.since), utc=utc)
        end = "no end"
        if ban.until is not None:
            end = f"until {format_moment(parse_time(ban.until), utc=utc)}"
        lines.append(printable(f"{since}  {ban.target}: {end}", 1000))
    return lines


def departure_lines(relay: RelaySnapshot, now: datetime, *, utc: bool = False) -> list[str]:
    """Return a line for each recent departure, newest first, below a heading; empty without any."""
    if not relay.left:
        return []
    recent = relay.left[: -DEPARTURES_SHOWN - 1 : -1]
    more = len(relay.left) - len(recent)
    width = max(len(printable(departure.listen)) for departure in recent)
    return [
        "not connected:",
        *(
            printable(
                f"{printable(departure.listen):{width}}  {departure.user}@{departure.address}  "
                f"{format_last_seen(departure.left_at, now, utc=utc)}",
                1000,
            )
            for departure in recent
        ),
        *([f"and {more} more, which --json lists"] if more else []),
    ]


def _binding_text(binding: BindingSnapshot) -> str:
    users = f" ({binding.connections} connected)" if binding.connections else ""
    return printable(f"{binding.listen}{users}")
