from __future__ import annotations

import pytest

from tunnelkeeper.core.ssh_values import (
    ChannelTimeout,
    IpQos,
    RekeyLimit,
    ValueFormatError,
    parse_bind_mask,
    parse_channel_timeouts,
    parse_interval,
    parse_ip_qos,
    parse_rekey_limit,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", RekeyLimit()),
        ("default", RekeyLimit()),
        ("default none", RekeyLimit()),
        ("0 0", RekeyLimit()),
        ("1G", RekeyLimit(1 << 30)),
        ("500m", RekeyLimit(500 << 20)),
        ("16", RekeyLimit(16)),
        ("1073741824 3600", RekeyLimit(1 << 30, 3600)),
        ("default 1h30m", RekeyLimit(0, 5400)),
        ("1K none", RekeyLimit(1024)),
    ],
)
def test_a_rekey_limit_is_a_size_and_an_interval(text: str, expected: RekeyLimit) -> None:
    assert parse_rekey_limit(text.split()) == expected


@pytest.mark.parametrize("text", ["15", "1X", "G", "1G x", "1G 1h 1h", "-1G", "1.5G", "none"])
def test_an_invalid_rekey_limit_is_an_error(text: str) -> None:
    with pytest.raises(ValueFormatError, match="expected"):
        parse_rekey_limit(text.split())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("30m1h", 5400),
        ("1h1h", 7200),
        ("1W2D", 777600),
        ("1h5", 3605),
    ],
)
def test_intervals_have_the_units_of_ssh(text: str, seconds: int) -> None:
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "1m h", "1y", "-1", "1 m", "none"])
def test_an_invalid_interval_is_an_error(text: str) -> None:
    with pytest.raises(ValueFormatError, match="expected a time"):
        parse_interval(text)


@pytest.mark.parametrize(
    ("text", "interactive", "bulk"),
    [
        ("af21 cs1", 0x48, 0x20),
        ("EF", 0xB8, 0xB8),
        ("lowdelay throughput", 0x10, 0x08),
        ("none le", None, 0x04),
        ("0x1c 255", 0x1C, 255),
        ("010 0", 8, 0),
        ("af43", 0x98, 0x98),
        ("", None, None),
    ],
)
def test_a_type_of_service_is_a_name_or_a_number(
    text: str, interactive: int | None, bulk: int | None
) -> None:
    assert parse_ip_qos(text.split()) == IpQos(interactive, bulk)


@pytest.mark.parametrize("text", ["af51", "256", "08", "0777", "0x100", "cs8", "a b c", "low"])
def test_an_unknown_type_of_service_is_an_error(text: str) -> None:
    with pytest.raises(ValueFormatError, match="expected"):
        parse_ip_qos(text.split())


@pytest.mark.parametrize(
    ("text", "mask"), [("0177", 0o177), ("0111", 0o111), ("", 0o177), ("77", 63)]
)
def test_a_mask_is_octal(text: str, mask: int) -> None:
    assert parse_bind_mask(text.split()) == mask


@pytest.mark.parametrize("text", ["0188", "01777", "rw", "0x1f"])
def test_an_invalid_mask_is_an_error(text: str) -> None:
    with pytest.raises(ValueFormatError, match="octal mask"):
        parse_bind_mask([text])


def test_channel_timeouts_are_pairs_of_a_type_and_an_interval() -> None:
    assert parse_channel_timeouts(["none"]) == parse_channel_timeouts([]) == ()
    assert parse_channel_timeouts(["direct-tcpip=1h", "*=0"]) == (
        ChannelTimeout("direct-tcpip", 3600),
        ChannelTimeout("*", 0),
    )


@pytest.mark.parametrize("words", [["session"], ["=1h"], ["session=x"], ["none", "a=1"]])
def test_an_invalid_channel_timeout_is_an_error(words: list[str]) -> None:
    with pytest.raises(ValueFormatError, match="expected"):
        parse_channel_timeouts(words)
