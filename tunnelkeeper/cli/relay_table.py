"""The text of `relay status`: a row for each client, and the refusals, fitted to a terminal.

Pure: it measures no terminal. Text of other machines is made printable here, independently of the
relay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable, quoted
from tunnelkeeper.presentation.fitted_table import Cell, Column, Line, Plan, render_table, text_cell
from tunnelkeeper.presentation.formatting import (
    format_last_seen,
    format_moment,
    format_size,
    parse_time,
    time_since,
)
from tunnelkeeper.presentation.status_columns import DURATION_WIDTH, TRAFFIC_WIDTH
from tunnelkeeper.presentation.text_layout import keep_whole, wrap_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tunnelkeeper.core.relay_snapshot import BindingSnapshot, ClientSnapshot, RelaySnapshot

REFUSALS_SHOWN = 10
BANS_SHOWN = 20
DEPARTURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a client: a text for each column, and a line for each binding."""

    user: str
    address: str
    holds: tuple[str, ...]
    since: str
    channels: str
    traffic: str


def client_row(client: ClientSnapshot, now: datetime) -> Row:
    """Return the row of a client."""
    return Row(
        user=printable(client.user),
        address=printable(client.address),
        holds=tuple(map(_binding_text, client.holds)),
        since=keep_whole(time_since(client.since, now)),
        channels=str(client.channels),
        traffic=keep_whole(f"{format_size(client.bytes_in)} / {format_size(client.bytes_out)}"),
    )


def render_relay(
    relay: RelaySnapshot, now: datetime, cells: int | None, *, utc: bool = False
) -> list[Line]:
    """Return everything that `relay status` prints on a terminal of this width.

    cells: None for lines as wide as their texts.
    """
    lines: list[Line] = [[("", line)] for line in wrap_lines([heading(relay)], cells)]
    if relay.clients:
        lines += _render_clients([client_row(client, now) for client in relay.clients], cells)
    for group in (
        departure_lines(relay, now, utc=utc),
        ban_lines(relay, utc=utc),
        refusal_lines(relay, utc=utc),
    ):
        if group:
            lines += [[], *([("", line)] for line in wrap_lines(group, cells))]
    return lines


def _render_clients(rows: Sequence[Row], cells: int | None) -> list[Line]:
    """Return the table of clients for a terminal of this width; None: as wide as its texts."""
    user = Column("USER", [text_cell(row.user) for row in rows], 18, 15, is_cut=True)
    address = Column("ADDRESS", [text_cell(row.address) for row in rows], longest_word=50)
    holds = Column("HOLDS", [Cell(tuple((text,) for text in row.holds)) for row in rows], 30)
    since = Column("SINCE", [text_cell(row.since) for row in rows], reserved=DURATION_WIDTH)
    channels = Column("CHANNELS", [text_cell(row.channels) for row in rows])
    traffic = Column("IN / OUT", [text_cell(row.traffic) for row in rows], reserved=TRAFFIC_WIDTH)
    narrow_user = replace(user, longest_word=8)
    every = [user, address, holds, since, channels, traffic]
    if cells is not None:
        every = [column for column in every if not column.is_empty]

    def plan(*dropped: Column, is_squeezed: bool = False) -> Plan:
        kept = [column for column in every if column not in dropped]
        return Plan(kept, (user, holds), is_squeezed=is_squeezed)

    plans = [
        plan(),
        plan(traffic),
        plan(traffic, channels),
        plan(traffic, channels, is_squeezed=True),
        plan(traffic, channels, since, is_squeezed=True),
        Plan([narrow_user, *(c for c in (address, holds) if c in every)], is_squeezed=True),
    ]
    return render_table(plans, cells)


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
