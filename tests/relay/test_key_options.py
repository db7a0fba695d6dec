"""The options of a key: each as sshd(8) describes it, or a reason to refuse the key."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.key_options import KeyOptions, OptionError, parse_options
from tunnelkeeper.relay.permits import HostPermit, PathPermit

EAST = timezone(timedelta(hours=2))
WEST = timezone(timedelta(hours=-8))


def options(text: str) -> KeyOptions:
    return parse_options(text, UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", KeyOptions()),
        # "Enable all restrictions, i.e. disable port, agent and X11 forwarding".
        ("restrict", KeyOptions(port_forwarding=False)),
        # "Enable port forwarding previously disabled by the restrict option".
        ("restrict,port-forwarding", KeyOptions()),
        ("port-forwarding,restrict", KeyOptions(port_forwarding=False)),
        ("no-port-forwarding", KeyOptions(port_forwarding=False)),
        ("no-port-forwarding,port-forwarding", KeyOptions()),
        ("restrict,pty,agent-forwarding,X11-forwarding,user-rc", KeyOptions(port_forwarding=False)),
        # "Option keywords are case-insensitive".
        ("RESTRICT,Port-Forwarding", KeyOptions()),
        # "No pattern matching or name lookup"; "multiple permitopen options may be applied".
        (
            'permitopen="192.0.2.1:80",permitopen="192.0.2.2:25"',
            KeyOptions(permit_open=(HostPermit("192.0.2.1", 80), HostPermit("192.0.2.2", 25))),
        ),
        (
            'permitlisten="localhost:8080",permitlisten="[::1]:22000"',
            KeyOptions(permit_listen=(HostPermit("localhost", 8080), HostPermit("::1", 22000))),
        ),
        ('permitlisten="8080"', KeyOptions(permit_listen=(HostPermit("*", 8080),))),
        ('permitlisten="*"', KeyOptions(permit_listen=(HostPermit("*", None),))),
        ('permitopen="*:80"', KeyOptions(permit_open=(HostPermit("*", 80),))),
        ('permitopen="/run/x"', KeyOptions(permit_open=(PathPermit("/run/x"),))),
        # "Specifies that the listed key is a certification authority".
        ("cert-authority", KeyOptions(cert_authority=True)),
        (
            'cert-authority,principals="alice,bob"',
            KeyOptions(cert_authority=True, principals=("alice", "bob")),
        ),
        ('principals="alice",cert-authority', KeyOptions(True, ("alice",))),
        # "Either the canonical name of the remote host or its IP address".
        ('from="!10.0.0.1,10.0.0.0/8"', KeyOptions(sources=("!10.0.0.1", "10.0.0.0/8"))),
        ('from="*.example.com"', KeyOptions(sources=("*.example.com",))),
        # "A quote may be included in the command by quoting it with a backslash".
        (r'command="echo \"a, b\" \n"', KeyOptions(command=r'echo "a, b" \n')),
        ('command=""', KeyOptions(command="")),
        ("no-touch-required", KeyOptions(touch_required=False)),
        # These concern sessions, which the relay does not have.
        ('environment="A=b c",environment="B="', KeyOptions()),
        ('tunnel="0"', KeyOptions()),
        ('tunnel="any"', KeyOptions()),
        ("no-agent-forwarding,no-X11-forwarding,no-pty,no-user-rc", KeyOptions()),
        ("agent-forwarding,X11-forwarding,pty,user-rc", KeyOptions()),
    ],
)
def test_an_option_means_what_sshd_says(text: str, expected: KeyOptions) -> None:
    assert options(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # The flag by which an authenticator confirms user verification is not checked.
        ("verify-required", "verify-required cannot be checked here"),
        ("frobnicate", "unknown option 'frobnicate'"),
        ('frobnicate="x"', "unknown option 'frobnicate' with a value"),
        ("no-restrict", "unknown option 'no-restrict'"),
        ("no-cert-authority", "unknown option"),
        ('restrict="yes"', "restrict takes no value"),
        ("permitopen", 'permitopen needs a value: permitopen="..."'),
        ("expiry-time", "expiry-time needs a value"),
        ("from", "from needs a value"),
        ("permitopen=a:1", "got 'permitopen=a:1'"),
        ('permitopen="a:1', "got 'permitopen="),
        ('permitopen="a:1"x', "got 'permitopen="),
        ("restrict,", "got ''"),
        (",restrict", "got ',restrict'"),
        ("restrict,,pty", "got ',pty'"),
        ("restrict pty", "got 'restrict pty'"),
        ("restrict\x1b", r"got 'restrict\\x1b'"),
        ("réstrict", "got 'réstrict'"),
        ('permitopen="none"', "permitopen=: expected host:port"),
        ('permitopen="8080"', "permitopen=: expected host:port"),
        ('permitopen="a:1,b:2"', "permitopen=: expected a port"),
        ('permitopen="a:0"', "permitopen=: expected a port"),
        ('permitlisten="70000"', "permitlisten=: expected a port"),
        ('permitlisten=""', "permitlisten=: expected a port"),
        ('from=""', "from=: expected a host"),
        ('from="10.0.0.1/8"', "from=: not a network"),
        ('from="a",from="b"', "from= appears twice"),
        ('command="a",command="b"', "command= appears twice"),
        ('cert-authority,principals="a",principals="b"', "principals= appears twice"),
        # "Ignored for keys that are not marked" says sshd(8), and sshd itself refuses the key.
        ('principals="alice"', "principals= requires cert-authority"),
        ('environment="A"', "environment= needs NAME=value"),
        ('environment="A-B=c"', "environment= needs NAME=value"),
        ('tunnel="tun0"', "tunnel= needs a device number"),
    ],
)
def test_an_option_that_cannot_be_enforced_refuses_the_key(text: str, reason: str) -> None:
    with pytest.raises(OptionError) as error_info:
        options(text)

    assert reason.replace(r"\\", "\\") in str(error_info.value)
    assert str(error_info.value).isprintable()


@pytest.mark.parametrize(
    ("written", "expires"),
    [
        ("20301231", datetime(2030, 12, 30, 22, tzinfo=UTC)),
        ("20301231Z", datetime(2030, 12, 31, tzinfo=UTC)),
        ("203012311530", datetime(2030, 12, 31, 13, 30, tzinfo=UTC)),
        ("203012311530Z", datetime(2030, 12, 31, 15, 30, tzinfo=UTC)),
        ("20301231153045", datetime(2030, 12, 31, 13, 30, 45, tzinfo=UTC)),
        ("20301231153045Z", datetime(2030, 12, 31, 15, 30, 45, tzinfo=UTC)),
        ("20301231153045z", datetime(2030, 12, 31, 15, 30, 45, tzinfo=UTC)),
        ("20301231UTC", datetime(2030, 12, 31, tzinfo=UTC)),
        ("20280229Z", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_expiry_time_without_z_uses_the_given_zone(written: str, expires: datetime) -> None:
    assert parse_options(f'expiry-time="{written}"', EAST).expires == expires


def test_without_a_zone_the_system_zone_applies() -> None:
    expires = parse_options('expiry-time="203012311530"', None).expires

    assert expires == datetime(2030, 12, 31, 15, 30).astimezone()


def test_the_last_day_of_the_calendar_is_valid_in_every_zone() -> None:
    for zone in (EAST, UTC, WEST):
        options = parse_options('expiry-time="99991231235959"', zone)

        assert not options.expired(datetime(9999, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    "written",
    [
        "",
        "never",
        "2030",
        "2030123",
        "203012311",
        "2030123115",
        "2030123115304",
        "203012311530450",
        "20301301",
        "20300230",
        "20301231Z0",
        "20301231 ",
        "+20301231",
        "2030-12-31",
        "203012312400",
        "203012312360",
        "20301231235960",
        "19691231Z",
        "00000101Z",
        "٢٠٣٠١٢٣١",
    ],
)
def test_an_invalid_expiry_time_refuses_the_key(written: str) -> None:
    with pytest.raises(OptionError, match="expiry-time="):
        options(f'expiry-time="{written}"')


def test_the_earliest_of_several_expiry_times_counts() -> None:
    text = 'expiry-time="20310101Z",expiry-time="20300101Z",expiry-time="20320101Z"'

    assert options(text).expires == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_key_is_valid_until_its_expiry_time() -> None:
    expiring = options('expiry-time="20300101Z"')
    last = datetime(2030, 1, 1, tzinfo=UTC)

    assert not expiring.expired(last)
    assert expiring.expired(last + timedelta(microseconds=1))
    assert not options("").expired(last)


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["restrict", "port-forwarding", 'from="', '\\"', '"', ",", "=", "*", "command", "1"]
        )
    ).map("".join)
)
def test_any_text_is_options_or_an_option_error(text: str) -> None:
    try:
        parsed = options(text)
    except OptionError as error:
        message = str(error)
    else:
        message = str(parsed.port_forwarding)
    assert message.isprintable()


@given(st.lists(st.sampled_from(["restrict", "port-forwarding", "no-port-forwarding", "pty"])))
def test_the_last_port_forwarding_option_counts(words: list[str]) -> None:
    relevant = [word for word in words if word != "pty"]

    assert options(",".join(words)).port_forwarding is (relevant[-1:] in ([], ["port-forwarding"]))
