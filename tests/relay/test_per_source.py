"""Limits per source: parsed as in sshd."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.max_startups import LimitError
from tunnelkeeper.relay.per_source import NetBlockSize, parse_per_source_max_startups


def test_the_default_block_is_one_address_as_in_sshd() -> None:
    assert NetBlockSize() == NetBlockSize.parse("32:128")


@pytest.mark.parametrize(
    ("written", "host", "block"),
    [
        ("32:128", "192.0.2.7", "192.0.2.7"),
        ("24", "192.0.2.7", "192.0.2.0/24"),
        ("24", "2001:db8::7", "2001:db8::7"),
        ("32:64", "2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("32:64", "::ffff:192.0.2.7", "192.0.2.7"),
        ("0:0", "192.0.2.7", "0.0.0.0/0"),
        ("24", "no address", "no address"),
    ],
)
def test_an_address_belongs_to_a_block(written: str, host: str, block: str) -> None:
    assert NetBlockSize.parse(written).block_of(host) == block


@pytest.mark.parametrize("written", ["", "33", "32:129", ":64", "32:", "a", "-1", "32:64:1"])
def test_a_malformed_block_size_is_refused(written: str) -> None:
    with pytest.raises(LimitError):
        NetBlockSize.parse(written)


@given(st.integers(0, 32), st.integers(0, 128))
def test_a_block_size_is_printed_as_it_is_written(ipv4: int, ipv6: int) -> None:
    written = f"{ipv4}:{ipv6}"

    assert str(NetBlockSize.parse(written)) == written


@pytest.mark.parametrize(("written", "limit"), [("none", 0), ("0", 0), ("7", 7)])
def test_the_limit_is_none_or_a_number(written: str, limit: int) -> None:
    assert parse_per_source_max_startups(written) == limit


@pytest.mark.parametrize("written", ["", "None", "-1", "1:2", "x"])
def test_a_malformed_limit_is_refused(written: str) -> None:
    with pytest.raises(LimitError):
        parse_per_source_max_startups(written)
