"""relay.toml: the configuration of a file, or all problems in it."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config.errors import ConfigError
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay.config import RelayConfiguration, RelayLimits, load, parse
from tunnelkeeper.relay.max_startups import MaxStartups
from tunnelkeeper.relay.per_source import NetBlockSize
from tunnelkeeper.relay.permits import ANYTHING, HostPermit, PathPermit

EVERY_KEY = """\
listen = ["0.0.0.0:2222", "[::]:2222", "2022", "*:0"]
public_address = "relay.example.com:443"
host_keys = ["relay_host_key", "/etc/relay/other_key"]
authorized_keys = "/etc/relay/keys/%u"
revoked_keys = "/etc/relay/revoked"
gateway_ports = "clientspecified"
unix_socket_dir = "/run/relay/"
permit_listen = ["8080", "localhost:*", "box-*:22", "/run/relay/*"]
permit_open = ["db:5432", "*:443", "[2001:db8::1]:*"]
names = false
strict_modes = false
required_rsa_size = 3072

[limits]
max_startups = "5:50:20"
per_source_max_startups = 7
per_source_net_block_size = "24:64"
login_grace = "1m"
max_auth_tries = 3
penalties = false
connections_per_key = 0
listeners_per_connection = 1
channels_per_connection = 2
memory = "1G"
memory_per_key = "512M"
memory_per_address = 0
keepalive_interval = 30
keepalive_count_max = 5
"""

DEFAULTS = """\
listen = "127.0.0.1:2222"
public_address = ""
host_keys = "relay_host_key"
authorized_keys = "authorized_keys"
revoked_keys = "none"
gateway_ports = "no"
unix_socket_dir = ""
permit_listen = ["*:*"]
permit_open = ["*:*"]
names = true
strict_modes = true
required_rsa_size = 1024

[limits]
max_startups = "10:30:100"
login_grace = "30s"
max_auth_tries = 6
penalties = true
connections_per_key = 16
listeners_per_connection = 64
channels_per_connection = 4096
keepalive_interval = 15
keepalive_count_max = 3
"""

MISTAKES = """\
listen = ["0.0.0.0:2222", "/run/relay.sock", "0.0.0.0:70000"]
host_keys = []
authorized_keys = "/home/%h/keys"
gateway_ports = "maybe"
permit_listen = ["8080", "none", "a:b"]
permit_open = ["*.example.com:443"]
max_startups = "10:30:100"
permitopen = ["db:5432"]

[limits]
max_startups = "100:30:10"
login_grace = "soon"
max_auth_tries = "6"
max_auth_trys = 6
"""


def find_problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error_info:
        parse(text, "relay.toml")

    return [str(problem.full_message) for problem in error_info.value.problems]


def test_every_key_fills_its_field() -> None:
    assert parse(EVERY_KEY, "relay.toml") == RelayConfiguration(
        path="relay.toml",
        listen=(
            TcpAddress("0.0.0.0", 2222),
            TcpAddress("::", 2222),
            TcpAddress("localhost", 2022),
            TcpAddress("*", 0),
        ),
        public_address=TcpAddress("relay.example.com", 443),
        host_keys=("relay_host_key", "/etc/relay/other_key"),
        authorized_keys="/etc/relay/keys/%u",
        revoked_keys="/etc/relay/revoked",
        gateway_ports="clientspecified",
        unix_socket_dir="/run/relay",
        permit_listen=(
            HostPermit("*", 8080),
            HostPermit("localhost", None),
            HostPermit("box-*", 22),
            PathPermit("/run/relay/*"),
        ),
        permit_open=(
            HostPermit("db", 5432),
            HostPermit("*", 443),
            HostPermit("2001:db8::1", None),
        ),
        names=(),
        strict_modes=False,
        required_rsa_size=3072,
        limits=RelayLimits(
            max_startups=MaxStartups(5, 50, 20),
            per_source_max_startups=7,
            per_source_net_block_size=NetBlockSize(24, 64),
            login_grace=60.0,
            max_auth_tries=3,
            penalties=False,
            connections_per_key=0,
            listeners_per_connection=1,
            channels_per_connection=2,
            memory=1 << 30,
            memory_per_key=512 << 20,
            memory_per_address=0,
            keepalive=Keepalive(30.0, 5),
        ),
    )


def test_every_field_has_a_key() -> None:
    document = tomllib.loads(EVERY_KEY)
    limits = {name.removeprefix("keepalive_") for name in document["limits"]}

    assert {field.name for field in fields(RelayConfiguration)} == {"path", *document}
    assert {field.name for field in fields(RelayLimits)} == limits - {"interval", "count_max"} | {
        "keepalive"
    }


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse("", "") == RelayConfiguration() == parse(DEFAULTS, "")


def test_one_key_of_the_limits_leaves_the_others_at_their_defaults() -> None:
    limits = parse("[limits]\nkeepalive_count_max = 9\n", "relay.toml").limits

    assert limits == RelayLimits(keepalive=Keepalive(15.0, 9))


@pytest.mark.parametrize(
    ("written", "permits"),
    [
        ('"any"', (ANYTHING,)),
        ('["any"]', (ANYTHING,)),
        ('"none"', ()),
        ('["none"]', ()),
        ("[]", ()),
        ('"db:5432"', (HostPermit("db", 5432),)),
    ],
)
def test_permits_accept_any_and_none_of_sshd_config(
    written: str, permits: tuple[HostPermit, ...]
) -> None:
    text = f"permit_open = {written}\npermit_listen = {written}\n"
    configuration = parse(text, "relay.toml")

    assert configuration.permit_open == configuration.permit_listen == permits


@pytest.mark.parametrize(("written", "full"), [("0", 0), ('"0"', 0), ("20", 20), ('"1:1:7"', 7)])
def test_max_startups_may_be_a_number(written: str, full: int) -> None:
    limits = parse(f"[limits]\nmax_startups = {written}\n", "relay.toml").limits

    assert limits.max_startups.full == full


def test_all_problems_of_a_file_are_named_together() -> None:
    assert find_problems(MISTAKES) == [
        (
            'relay.toml:1: listen[1]: expected "address:port" in quotes, such as "0.0.0.0:2222", '
            "got '/run/relay.sock'\n  hint: the relay listens on TCP only"
        ),
        (
            "relay.toml:1: listen[2]: "
            "expected a port from 1 to 65535, got '70000' in '0.0.0.0:70000'"
        ),
        (
            "relay.toml:2: host_keys: "
            "expected a file, got an empty list\n  hint: leave the key out for the default"
        ),
        (
            "relay.toml:3: authorized_keys: "
            "expected a path with no other token than %u and %%, got '/home/%h/keys'"
        ),
        ("relay.toml:4: gateway_ports: expected 'no', 'yes' or 'clientspecified', got 'maybe'"),
        "relay.toml:5: permit_listen[1]: 'none' stands alone, without other permits",
        ("relay.toml:5: permit_listen[2]: expected a port from 1 to 65535 or '*', got 'a:b'"),
        (
            "relay.toml:6: permit_open[0]: "
            "expected a host to open or '*', not a pattern: got '*.example.com:443'"
        ),
        "relay.toml:7: max_startups: unknown key\n  hint: it belongs in the table [limits]",
        "relay.toml:8: permitopen: unknown key\n  hint: did you mean 'permit_open'?",
        "relay.toml:11: limits.max_startups: begin (100) is more than full (10)",
        (
            "relay.toml:12: limits.login_grace: expected a duration such as 15 (seconds), 0.5, "
            '"500ms", "15s", "2m" or "1h30m", got \'soon\''
        ),
        (
            "relay.toml:13: limits.max_auth_tries: "
            "expected a whole number of at least 0, got '6'\n  hint: write it without quotes: 6"
        ),
        "relay.toml:14: limits.max_auth_trys: unknown key\n  hint: did you mean 'max_auth_tries'?",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("listen = 2222", 'expected "address:port" in quotes'),
        ("listen = []", "expected an address to listen on, got an empty list"),
        ('host_keys = ""', "expected a string, got an empty one"),
        ('authorized_keys = "%"', "no other token than %u and %%"),
        ('authorized_keys = "%%%"', "no other token than %u and %%"),
        ('unix_socket_dir = "run"', "expected an absolute path without '..', got 'run'"),
        ('unix_socket_dir = "/run/../etc"', "expected an absolute path without '..'"),
        ('unix_socket_dir = "/"', "would open every socket of this machine"),
        ('unix_socket_dir = "//"', "would open every socket of this machine"),
        ("permit_open = [80]", 'expected "host:port" in quotes, got 80'),
        ('permit_open = ["any", "db:1"]', "'any' stands alone"),
        ('permit_open = "80"', "expected host:port"),
        ('permit_open = ["10.0.0.1/8:*"]', "has host bits set"),
        ('permit_listen = "/run/../x"', "expected a normalised path without '..'"),
        ("public_address = 22", 'expected "address:port" in quotes'),
        ('public_address = "a b:22"', "expected a host name or address"),
        ('public_address = "relay:0x16"', "0x16"),
        ("names = 1", 'expected a pattern of names in quotes, such as "box-*", or true or false'),
        ('names = "true"', "write true without quotes"),
        ('names = ["db.example.com"]', "a name is a single label, without a dot"),
        ('names = ["box 1"]', "expected a name such as 'box-*', or '%u' for the user"),
        ('names = ["%h"]', "expected a name such as"),
        ("limits = 1", "expected a table of max_startups"),
        ("[limits]\nmax_startups = true", 'expected "begin:rate:full" in quotes, got true'),
        ("[limits]\nmax_startups = -1", "expected begin:rate:full"),
        ("[limits]\nkeepalive_count_max = 0", "to send none: keepalive_interval = 0"),
        ("[limits", "expected ']'"),
    ],
)
def test_a_problem_names_the_expected_value(text: str, reason: str) -> None:
    (problem,) = find_problems(text)

    assert reason in problem
    assert problem.startswith("relay.toml:")


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("names = false\n")

    assert load(path) == RelayConfiguration(path=str(path), names=())


def test_a_missing_file_is_reported_with_the_option_for_another(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"

    with pytest.raises(ConfigError) as error_info:
        load(path)
    assert (
        str(error_info.value)
        == f"{path}: no such file\n  hint: create it, or name another file with --config"
    )


values = st.recursive(
    st.text() | st.integers(-(2**62), 2**62) | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
known_keys = st.sampled_from(sorted({**tomllib.loads(EVERY_KEY)} | {"odd": 1}))


@given(st.dictionaries(known_keys, values), st.dictionaries(st.text() | known_keys, values))
def test_any_values_give_a_configuration_or_problems(
    top: dict[str, object], limits: dict[str, object]
) -> None:
    try:
        parse(tomli_w.dumps({**top, "limits": limits}), "relay.toml")
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    else:
        problems = []
    assert all(problem.isprintable() for problem in problems)
