"""The changes that a reload makes, and the connections it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tunnelkeeper.core.config_diff import (
    Added,
    Change,
    HostSettingsChanged,
    Removed,
    SettingsChanged,
    describe,
    diff,
    name_of,
)
from tunnelkeeper.core.configuration import Backoff, HostOptions, Tunnel
from tunnelkeeper.core.forward_spec import parse_local, parse_remote, parse_socks

DB = parse_local("5432:db.internal:5432")
WEB = parse_local("8080:web:80")
UNIX = parse_local("/tmp/a:/tmp/b")
BACK = parse_remote("2222:localhost:22")
OLD = Tunnel("db", "relay", (DB, BACK))


def change_to(new: Tunnel) -> Change | None:
    """Return the change from OLD to a tunnel."""
    changes = diff({"db": OLD}, {"db": new})
    assert len(changes) <= 1
    return changes[0] if changes else None


def test_the_same_file_changes_nothing() -> None:
    same = Tunnel("db", "relay", (DB, BACK))

    assert diff({"db": OLD}, {"db": same}) == ()


def test_removals_come_before_additions_because_they_may_free_a_port() -> None:
    old = {"a": replace(OLD, name="a"), "b": replace(OLD, name="b")}
    new = {"c": replace(OLD, name="c"), "b": replace(OLD, name="b", host="other")}

    assert diff(old, new) == (Removed("a"), Added(new["c"]), HostSettingsChanged(new["b"]))


@pytest.mark.parametrize(
    "new",
    [
        replace(OLD, host="other"),
        replace(OLD, options=HostOptions(user="me")),
        replace(OLD, host="other", forwards=(WEB,)),
    ],
)
def test_changed_host_settings_reconnect(new: Tunnel) -> None:
    assert change_to(new) == HostSettingsChanged(new)


def test_forwards_change_on_the_live_connection() -> None:
    new = replace(OLD, forwards=(BACK, WEB))

    assert change_to(new) == SettingsChanged(new, added=(WEB,), removed=(DB,))


@pytest.mark.parametrize(
    "new",
    [
        replace(OLD, backoff=Backoff(max=5)),
        replace(OLD, hold_timeout=0.0),
        replace(OLD, groups=("work",)),
        replace(OLD, forwards=(BACK, DB)),
    ],
)
def test_a_changed_policy_or_order_of_forwards_keeps_the_connection(new: Tunnel) -> None:
    assert change_to(new) == SettingsChanged(new, added=(), removed=())


@pytest.mark.parametrize(
    ("change", "description"),
    [
        (Added(OLD), "db: added"),
        (Removed("db"), "db: removed"),
        (HostSettingsChanged(OLD), "db: host changed, reconnecting"),
        (SettingsChanged(OLD, (), ()), "db: settings changed on the live connection"),
        (
            SettingsChanged(OLD, (parse_socks("1080"),), (UNIX,)),
            "db: forwards +localhost:1080, -/tmp/a:/tmp/b changed on the live connection",
        ),
    ],
)
def test_the_description_of_a_change_names_the_tunnel(change: Change, description: str) -> None:
    assert describe(change) == description
    assert name_of(change) == "db"
