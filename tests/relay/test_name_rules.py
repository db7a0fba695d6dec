"""Rules for names: patterns of relay.toml, permitlisten of keys, and hosts of permit_open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.key_options import KeyOptions
from tunnelkeeper.relay.name_rules import (
    OWN_USER,
    NamePatternError,
    check_listen_name,
    is_host,
    parse_pattern,
)
from tunnelkeeper.relay.permits import ANYTHING, NamesPermit, parse_listen, parse_open
from tunnelkeeper.relay.registry import Name

labels = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)


def is_granted(
    name: str,
    *,
    user: str = "box17",
    names: tuple[str, ...] = OWN_USER,
    by_key: tuple[str, ...] | None = None,
    permit_open: tuple[str, ...] = ("*:*",),
) -> bool:
    """Return whether a name and port are granted, as `name:port`."""
    label, _, port = name.partition(":")
    options = KeyOptions(permit_listen=None if by_key is None else tuple(map(parse_listen, by_key)))
    permits = tuple(map(parse_open, permit_open))
    target = Name(label, int(port or 22))
    return check_listen_name(target, user, names, permits, options) is None


@pytest.mark.parametrize(
    ("name", "user", "names", "expected"),
    [
        ("box17", "box17", ("%u",), True),
        ("box17", "BOX17", ("%u",), True),
        ("box18", "box17", ("%u",), False),
        ("box1", "box17", ("%u",), False),
        ("box17-web", "box17", ("%u",), False),
        ("box17-web", "box17", ("%u-*",), True),
        ("box-3", "ann", ("%u", "box-*"), True),
        ("ann", "ann", ("%u", "box-*"), True),
        ("boxes", "ann", ("%u", "box-*"), False),
        ("db", "ann", ("*",), True),
        ("db", "db.example.com", ("%u",), False),
    ],
)
def test_a_pattern_grants_a_name(
    name: str, user: str, names: tuple[str, ...], expected: bool
) -> None:
    assert is_granted(name, user=user, names=names) is expected


@pytest.mark.parametrize(
    ("by_key", "name", "expected"),
    [
        (("home:22",), "home:22", True),
        (("HOME:22",), "home:22", True),
        (("home:22",), "home:80", False),
        (("home:*",), "home:80", True),
        (("home-*:22",), "home-3:22", True),
        (("home:22",), "away:22", False),
        # A permit for every host grants ports, not names.
        (("22",), "home:22", False),
        (("*:22",), "home:22", False),
        (("*",), "home:22", False),
        (("*:22",), "box17:22", True),  # its user
    ],
)
def test_a_permitlisten_of_the_key_grants_a_name(
    by_key: tuple[str, ...], name: str, expected: bool
) -> None:
    assert is_granted(name, by_key=by_key) is expected


@pytest.mark.parametrize("named", ["db:5432", "DB:*", "db.:80"])
def test_no_rule_grants_a_name_that_permit_open_has(named: str) -> None:
    permit_open = ("*:*", named)

    assert not is_granted("db:22", user="db", names=("*",), permit_open=permit_open)
    assert not is_granted("db:22", by_key=("db:22",), permit_open=permit_open)
    assert is_granted("dbx:22", names=("*",), permit_open=permit_open)


def test_the_refusal_of_a_host_says_how_names_are_opened() -> None:
    permits = (parse_open("box17:22"),)
    refusal = check_listen_name(Name("box17", 22), "box17", OWN_USER, permits, KeyOptions())

    assert str(refusal).endswith('permit_open opens the names of clients with "names"')


def test_without_names_no_permitlisten_grants_one() -> None:
    assert not is_granted("home:22", names=(), by_key=("home:22",))


def test_a_name_needs_a_port() -> None:
    assert not is_granted("box17:0")


@given(labels, labels)
def test_by_default_only_the_name_of_the_user_is_granted(user: str, name: str) -> None:
    assert is_granted(name, user=user) is (user == name)


@given(labels)
def test_every_label_is_its_own_pattern(name: str) -> None:
    assert is_granted(name, names=(parse_pattern(name.upper()),))


@pytest.mark.parametrize(
    "text", ["", "db.example.com", "%h", "%", "%%u", "a b", "bÖx", "!db", "/run/x", "a" * 64]
)
def test_a_malformed_pattern_is_refused(text: str) -> None:
    with pytest.raises(NamePatternError):
        parse_pattern(text)


def test_only_a_named_host_is_a_host() -> None:
    assert not is_host("db", [ANYTHING, NamesPermit(), parse_open("/run/db")])
    assert is_host("db", [parse_open("db:1")])
