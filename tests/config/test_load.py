"""Complete files: the resulting configuration or all their problems."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config import (
    ConfigError,
    Problem,
    load,
    load_with_warnings,
    parse,
    parse_with_warnings,
)
from tunnelkeeper.config.schema import TUNNEL_KEYS
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIVE_MISTAKES = """\
[supervisor]
log_level = "loud"

[hosts.relay]
hostname = "relay.example.com"
port = [
  22,
  "443",
]

[tunnels.db]
host = "relay"
lcoal = ["5432:db.internal:5432"]

[tunnels.web]
local = [
  "8080:intranet:80",
  "8081:intranet",   # no port
]
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "tunnels.toml")

    return [str(problem.full_message) for problem in caught.value.problems]


def warnings_of(text: str) -> list[str]:
    return [str(each.full_message) for each in parse_with_warnings(text, "tunnels.toml")[1]]


def test_five_mistakes_are_five_problems_in_file_order() -> None:
    assert problems_of(FIVE_MISTAKES) == [
        (
            "tunnels.toml:2: supervisor.log_level: "
            "expected 'debug', 'info', 'warning' or 'error', got 'loud'"
        ),
        (
            "tunnels.toml:8: hosts.relay.port[1]: "
            "expected a port from 1 to 65535, got '443'\n  hint: write it without quotes: 443"
        ),
        "tunnels.toml:13: tunnels.db.lcoal: unknown key\n  hint: did you mean 'local'?",
        (
            "tunnels.toml:15: tunnels.web: "
            "'host' is missing\n  hint: "
            'write host = "...": a [hosts] name, an ssh_config alias or [user@]host[:port]'
        ),
        (
            "tunnels.toml:18: tunnels.web.local[1]: "
            "expected a port from 1 to 65535, got 'intranet' in '8081:intranet'"
        ),
    ]


def test_the_text_of_the_error_lists_its_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(FIVE_MISTAKES, "tunnels.toml")

    assert str(caught.value) == "\n".join(problems_of(FIVE_MISTAKES))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\na = 2\n", "t:2: cannot overwrite a value\n  hint: the key is defined twice"),
        (
            "[hosts]\n\n[hosts]\n",
            "t:3: cannot declare hosts twice\n  hint: the table is defined twice",
        ),
        (
            "\nhost = relay\n",
            "t:2: invalid value\n  hint: write strings in quotes, and true and false",
        ),
        ("[hosts\n", "t:1: expected ']' at the end of a table declaration"),
        ("a = 1\nb = [1,\n\n", "t:2: invalid value"),
        ("a = " + "[" * 5000, "t:1: brackets are nested too deeply"),
        ("a = " + "9" * 5000, "t: a number has thousands of digits"),
    ],
)
def test_invalid_toml_is_one_problem(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t")

    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[hosts.a]\njump = ['b']\n[hosts.b]\njump = 'u@c'\n[hosts.c]\njump = 'a,x'\n",
            "tunnels.toml:2: hosts.a.jump: the jump hosts form a loop: a -> b -> c -> a",
        ),
        (
            "[hosts.a]\njump = 'x,a'\n",
            "tunnels.toml:2: hosts.a.jump: the jump hosts form a loop: a -> a",
        ),
        (
            "[tunnels.t]\nhost = 'u@h'\njump = 'h'\n",
            "tunnels.toml:3: tunnels.t.jump: the tunnel's own host 'u@h' is a jump host",
        ),
        (
            "[tunnels.t]\nhost = 'u@h'\nuser = 'v'\n",
            "tunnels.toml:3: tunnels.t.user: the host 'u@h' names a user already\n  hint: remove",
        ),
        (
            "[tunnels.t]\nhost = 'h:22'\nport = 22\n",
            "tunnels.toml:3: tunnels.t.port: the host 'h:22' names a port already\n  hint: remove",
        ),
        (
            "[hosts.h]\njump = 'a'\nproxy_command = 'nc'\n",
            "tunnels.toml:3: hosts.h.proxy_command: jump is set as well",
        ),
        (
            "[defaults]\nbackoff.initial = 9\n[tunnels.t]\nhost = 'h'\nbackoff = { max = 5 }\n",
            "tunnels.toml:5: tunnels.t.backoff: initial (9 s) is more than max (5 s)",
        ),
    ],
)
def test_a_contradiction_is_a_problem(text: str, problem: str) -> None:
    (only_problem,) = problems_of(text)

    assert problem in only_problem


def test_each_loop_of_jump_hosts_is_reported() -> None:
    text = "[hosts]\na.jump = 'b'\nb.jump = 'a'\nc.jump = 'd'\nd.jump = 'c'\ne.jump = 'a'\n"

    assert len(problems_of(text)) == 2


@pytest.mark.parametrize("unreadable", ["hosts.h.jump = 5", "tunnels.t.host = 5"])
def test_an_invalid_value_causes_no_second_problem(unreadable: str) -> None:
    assert len(problems_of(unreadable)) == 1


def test_a_file_without_tunnels_is_a_warning() -> None:
    assert warnings_of("") == [
        (
            "tunnels.toml: no tunnels\n"
            "  hint: add a table [tunnels.NAME] with a host and a forward; "
            "`tunnelkeeper add --help` has examples"
        )
    ]


def test_a_tunnel_without_forwards_is_a_warning() -> None:
    assert warnings_of("[tunnels.t]\nhost = 'h'\n") == [
        (
            "tunnels.toml:1: tunnels.t: "
            "forwards nothing and only holds its connection\n"
            "  hint: add `local`, `remote` or `socks`"
        )
    ]


def test_a_policy_that_trusts_any_key_is_a_warning_in_every_table() -> None:
    text = """\
defaults.host_key_policy = "no"
hosts.h.host_key_policy = "off"
tunnels.t = { host = "h", socks = 1080, host_key_policy = "no" }
"""
    message = (
        "would trust changed keys too, and is treated as 'accept-new'\n  hint: write 'accept-new'"
    )

    assert warnings_of(text) == [
        f"tunnels.toml:1: defaults.host_key_policy: 'no' {message}",
        f"tunnels.toml:2: hosts.h.host_key_policy: 'off' {message}",
        f"tunnels.toml:3: tunnels.t.host_key_policy: 'no' {message}",
    ]


def test_control_characters_in_the_path_of_a_problem_are_escaped() -> None:
    assert str(Problem("a/\x1b.toml", 1, "", "bad")) == "a/\\x1b.toml:1: bad"


def test_a_file_is_loaded_with_its_warnings(tmp_path: Path) -> None:
    file = tmp_path / "tunnels.toml"
    file.write_text("[tunnels.t]\nhost = 'h'\n")

    configuration, (warning,) = load_with_warnings(file)

    assert configuration == load(str(file))
    assert configuration.path == warning.path == str(file)


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "tunnels.toml"
    file.write_bytes(b"\xef\xbb\xbf[tunnels.t]\r\nhost = 'h'\r\n")

    assert list(load(file).tunnels) == ["t"]


def only_problem(path: Path | str) -> Problem:
    with pytest.raises(ConfigError) as caught:
        load(path)

    (problem,) = caught.value.problems
    return problem


def test_a_missing_file_suggests_another_one(tmp_path: Path) -> None:
    problem = only_problem(tmp_path / "none.toml")

    assert problem.line is None
    assert (problem.message, problem.hint) == (
        "no such file",
        (
            "create it with `tunnelkeeper init` or `tunnelkeeper add`, "
            "or name another file with --config or $TUNNELKEEPER_CONFIG"
        ),
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    problem = only_problem(tmp_path)

    assert problem.message == "this is a directory"
    assert problem.hint.startswith("name a file in it with --config")


def test_a_path_through_a_file_reports_the_system_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert only_problem(tmp_path / "file" / "x").message == "Not a directory"


def test_invalid_utf8_is_reported_with_its_position(tmp_path: Path) -> None:
    file = tmp_path / "tunnels.toml"
    file.write_bytes(b"# Gr\xfc\xdfe\n")

    assert only_problem(file).full_message == Message(
        f"{file}: not UTF-8 at byte 4", "save the file as UTF-8"
    )


def test_a_path_with_a_nul_is_refused() -> None:
    assert only_problem("a\0b").message.startswith("not a path: ")


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Path]:
    """Create a file without read permission; as root, drop the rights that would ignore it."""
    file = tmp_path / "tunnels.toml"
    file.touch(mode=0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield file
    os.seteuid(before)


def test_a_file_without_read_permission_is_reported(unreadable: Path) -> None:
    problem = only_problem(unreadable)

    assert problem.message.startswith("permission denied for ")
    assert f"`chmod u+r {unreadable}`" in problem.hint


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tunnels.toml"
    file.write_text("[tunnels.t]\nhost = 'h'\nproxy_command = 'id'\n")
    file.chmod(0o666)

    problem = only_problem(file)
    assert problem.message == "can be written by others (mode 0666)"
    assert problem.hint == f"chmod go-w {file}"

    file.chmod(0o644)
    tmp_path.chmod(0o757)
    assert only_problem(file).message.startswith(f"{tmp_path} can be written by others")


def check_parse_or_problems(text: str) -> None:
    """Parse the text. On error, check that each problem is one printable line and in file order."""
    try:
        parse_with_warnings(text, "t.toml")
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(str(problem).isprintable() for problem in problems)
    assert all(problem.line for problem in problems if problem.key)
    assert [problem.line or 0 for problem in problems] == sorted(
        problem.line or 0 for problem in problems
    )


@given(st.text() | st.text("[]{}=.,\"'\\#\n ab1") | st.text("[tunels.db]\n='\"host1:{},"))
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    check_parse_or_problems(text)


SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.sampled_from(["none", "no", "relay", "1:a:1", "*:1080", "u@h:22", "15s", "8080"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["listen", "connect", "max", "initial"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(["relay", "db", "a.b", "", "none"])
TABLES = st.dictionaries(st.sampled_from([*TUNNEL_KEYS, "lcoal", "x"]), VALUES, max_size=6)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "supervisor": st.dictionaries(st.sampled_from(["ssh_config", "log_level"]), VALUES),
        "defaults": TABLES,
        "hosts": st.dictionaries(NAMES, TABLES | VALUES, max_size=3),
        "tunnels": st.dictionaries(NAMES, TABLES | VALUES, max_size=3),
        "tunnel": VALUES,
    },
)


@given(DOCUMENTS)
def test_any_document_is_a_configuration_or_a_config_error(document: dict[str, Any]) -> None:
    check_parse_or_problems(tomli_w.dumps(document))
