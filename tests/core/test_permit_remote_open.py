from __future__ import annotations

import pytest

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.permit_remote_open import is_permitted, parse_permits
from tunnelkeeper.core.ssh_values import ValueFormatError


@pytest.mark.parametrize(
    ("rules", "host", "port", "expected"),
    [
        ("any", "db", 5432, True),
        ("ANY", "db", 5432, True),
        ("none", "db", 5432, False),
        ("db:5432", "db", 5432, True),
        ("db:5432", "db", 5433, False),
        ("db:5432", "DB", 5432, False),
        ("db:5432", "db.internal", 5432, False),
        ("db:*", "db", 1, True),
        ("*:80", "anything", 80, True),
        ("*:80", "anything", 81, False),
        ("*:*", "anything", 1, True),
        ("[2001:db8::1]:22", "2001:db8::1", 22, True),
        ("a:1 b:2", "b", 2, True),
        ("a:1 b:2", "a", 2, False),
        ("d*:5432", "db", 5432, False),
    ],
)
def test_targets_are_compared_as_ssh_compares_them(
    rules: str, host: str, port: int, expected: bool
) -> None:
    assert is_permitted(parse_permits(rules.split()), TcpAddress(host, port)) is expected


@pytest.mark.parametrize(
    "words",
    [
        ["any", "a:1"],
        ["none", "none"],
        ["a"],
        ["a:"],
        [":1"],
        ["a:0"],
        ["a:65536"],
        ["2001:db8::1:22"],
        ["[::1]"],
        ["a:x"],
        ["a/b:1"],
    ],
)
def test_anything_else_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueFormatError, match="expected"):
        parse_permits(words)
