from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.autossh.command_line import (
    AutosshCommand,
    Monitor,
    information_flag,
    parse_autossh,
    parse_monitor,
    parse_ssh,
)
from tunnelkeeper.autossh.options import OPTIONS, Support
from tunnelkeeper.autossh.ssh_command import CommandLineError, Option, Purpose

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import Forward

LETTERS = st.sampled_from(sorted(OPTIONS))
VALUES = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Cs"]), min_size=1)


def parse(line: str) -> AutosshCommand:
    return parse_autossh(line.split())


def described(forwards: tuple[Forward, ...]) -> list[str]:
    return [f"{type(f).__name__}({f})" for f in forwards]


# -- options of autossh ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "monitor", "background", "options"),
    [
        ("-M 0 host", "0", False, ""),
        ("-M0 -f -N host", "0", True, "-N"),
        ("-M 20000:7 -fN host", "20000:7", True, "-N"),
        ("-fM 0 host", "0", True, ""),
        ("-NM 0 -p 22 host", "0", False, "-N -p 22"),
        ("-NfL 1:a:2 host", None, True, "-N -L 1:a:2"),
        ("-TND 4711 host -M 0", "0", False, "-T -N -D 4711"),
        ("-TND4711 host", None, False, "-T -N -D 4711"),
        ("-- -M 0 -f host", "0", True, ""),
        ("-M 0 -- -N host", "0", False, "-N"),
        ("-M 0 -J hop -N host", "0", False, "-J hop -N"),
        ("-M 1 -M 2 host", "2", False, ""),
    ],
)
def test_options_of_autossh_are_removed_from_the_ssh_command(
    line: str, monitor: str | None, background: bool, options: str
) -> None:
    command = parse(line)

    assert (command.monitor, command.background) == (monitor, background)
    assert " ".join(map(str, command.ssh.options)) == options
    assert command.ssh.destination == "host"


def test_dashes_after_the_first_ones_end_the_options_as_in_ssh() -> None:
    line = parse("-M 0 -- -N -- host -L 1:a:2").ssh

    assert line.command == ("-L", "1:a:2")


def test_options_after_the_command_belong_to_it() -> None:
    line = parse("-M 0 host ls -l -- -M").ssh

    assert line.command == ("ls", "-l", "--", "-M")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-V", "V"),
        ("--strict -V", "V"),
        ("-M 0 host -V", "V"),
        ("-M 0 host ls -V", None),
        ("-h", "h"),
        ("--help", "h"),
        ("-Nh", "h"),
        ("-M 0 -- -N --help host", "h"),
        ("-M 0 host -h", "h"),
        ("-M 0 host ls -h", None),
        ("-M 0 host ls --help", None),
        ("-i -h host", None),
        ("-h -V", "h"),
        ("-N host", None),
        ("", None),
    ],
)
def test_a_flag_that_only_prints_a_text_is_found(line: str, expected: str | None) -> None:
    assert information_flag(line.split()) == expected


@pytest.mark.parametrize("line", ["-h host", "host -h", "--help"])
def test_ssh_has_no_help_option(line: str) -> None:
    with pytest.raises(CommandLineError, match="unknown option"):
        parse_ssh(line.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", None),
        ("0:7", None),
        ("20000", Monitor(20000)),
        ("65534:7", Monitor(65534, 7)),
        ("0x10", Monitor(16)),
        ("0X4e20:0x7", Monitor(20000, 7)),
        ("010:010", Monitor(8, 8)),
        ("0x0", None),
        ("00", None),
        (" +20000", Monitor(20000)),
    ],
)
def test_a_monitoring_port_is_parsed(text: str, expected: Monitor | None) -> None:
    assert parse_monitor(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "65535",
        "-1",
        "x",
        ":7",
        "1:",
        "1:0",
        "1:65536",
        "1:2:3",
        "0x",
        "08",
        "0xffff",
        "1e3",
        "20000 ",
        5000 * "9",
    ],
)
def test_an_invalid_monitoring_port_is_refused(text: str) -> None:
    with pytest.raises(CommandLineError, match=r"-M: expected"):
        parse_monitor(text)


# -- the host --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "user", "host", "port"),
    [
        ("host", None, "host", None),
        ("user@host", "user", "host", None),
        ("me@corp@host", "me@corp", "host", None),
        ("ssh://user@host:2222", "user", "host", 2222),
        ("ssh://[::1]:2222", None, "::1", 2222),
        ("::1", None, "::1", None),
        ("-p 2200 host", None, "host", 2200),
        ("host -p 2200 -l me", "me", "host", 2200),
        ("-l me user@host", "me", "host", None),
        ("user@host -l me", "user", "host", None),
        ("-p 1 -p 2 ssh://host:3", None, "host", 1),
        ("-oUser=me -oPort=4 user@host", "me", "host", 4),
    ],
)
def test_a_destination_has_every_form_that_ssh_accepts(
    line: str, user: str | None, host: str, port: int | None
) -> None:
    command = parse_ssh(line.split())

    assert (command.user, command.host.host, command.port) == (user, host, port)


@pytest.mark.parametrize("host", ["", "@host", "a b", "ssh://", "ssh://host:0", "h;id", "$(id)"])
def test_an_invalid_host_is_rejected(host: str) -> None:
    with pytest.raises(CommandLineError, match="expected"):
        parse_ssh([host])


def test_a_command_without_a_host_is_refused() -> None:
    with pytest.raises(CommandLineError, match="expected a host"):
        parse("-M 0 -N")


# -- options ---------------------------------------------------------------------------------------


def test_settings_are_parsed_in_every_form() -> None:
    line = parse_ssh(
        ["-oServerAliveInterval=45", "-o", "TCPKeepAlive yes", "-o", 'User = "me"', "host"]
    )

    assert [(s.keyword, s.value) for s in line.settings] == [
        ("serveraliveinterval", "45"),
        ("tcpkeepalive", "yes"),
        ("user", "me"),
    ]


@pytest.mark.parametrize("setting", ["", "=", "Keyword", "Keyword=", "=value"])
def test_a_setting_without_a_keyword_or_a_value_is_refused(setting: str) -> None:
    with pytest.raises(CommandLineError, match="-o"):
        parse_ssh(["-o", setting, "host"])


@pytest.mark.parametrize(
    ("line", "message"),
    [("-Z host", "unknown option -Z"), ("-NZ host", "'-NZ'"), ("host -L", "a value after -L")],
)
def test_the_error_names_an_invalid_option(line: str, message: str) -> None:
    with pytest.raises(CommandLineError, match=message):
        parse(line)


@pytest.mark.parametrize(
    ("line", "purpose"),
    [
        ("-N host", Purpose.FORWARD),
        ("-o SessionType=none host", Purpose.FORWARD),
        ("-W a:1 host", Purpose.STDIO),
        ("host -s sftp", Purpose.SUBSYSTEM),
        ("-t host tmux attach", Purpose.COMMAND),
        ("-o RemoteCommand=ls host", Purpose.COMMAND),
        ("-L 1:a:2 host", Purpose.SHELL),
    ],
)
def test_the_options_determine_the_purpose(line: str, purpose: Purpose) -> None:
    assert parse_ssh(line.replace("-o ", "-o").split()).purpose is purpose


def test_repeated_flags_are_counted() -> None:
    assert parse_ssh(["-tt", "-v", "host", "-vv"]).count("v") == 3
    assert parse_ssh(["-tt", "host"]).count("t") == 2


# -- forwards --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "forwards"),
    [
        (["-NL", "2222:localhost:2222"], ["LocalForward(localhost:2222:localhost:2222)"]),
        (["-NCD", "8080"], ["SocksForward(localhost:8080)"]),
        (["-R", "*:1:a:2"], ["RemoteForward(*:1:a:2)"]),
        (["-R", "1080"], ["RemoteSocksForward(localhost:1080)"]),
        (["-L", "/a:/b", "-R0:a:1"], ["LocalForward(/a:/b)", "RemoteForward(localhost:0:a:1)"]),
        (["-o", "LocalForward 1 a:2"], ["LocalForward(localhost:1:a:2)"]),
        (["-oDynamicForward=[::1]:1"], ["SocksForward([::1]:1)"]),
        (["-gL", "1:a:2"], ["LocalForward(*:1:a:2)"]),
        (["-gD", "localhost:1"], ["SocksForward(localhost:1)"]),
        (["-oGatewayPorts=yes", "-D1"], ["SocksForward(*:1)"]),
        (["-oGatewayPorts=yes", "-R1:a:2"], ["RemoteForward(localhost:1:a:2)"]),
        (["-oClearAllForwardings=yes", "-L1:a:2"], []),
    ],
)  # fmt: skip
def test_forward_options_are_parsed_as_by_ssh(line: list[str], forwards: list[str]) -> None:
    assert described(parse_ssh([*line, "host"]).forwards) == forwards


@pytest.mark.parametrize("line", [["-L", "1"], ["-D", "a:b:c"], ["-oRemoteForward=x y"]])
def test_the_error_of_an_invalid_forward_names_its_option(line: list[str]) -> None:
    with pytest.raises(CommandLineError, match=r"^-"):
        _ = parse_ssh([*line, "host"]).forwards


# -- support of options --------------------------------------------------------------------------


def test_an_option_without_effect_is_listed_as_ignored() -> None:
    line = parse_ssh(["-x", "-a", "-2", "-oControlMaster=no", "-N", "host"])

    assert [remark.option for remark in line.ignored] == ["-x", "-2", "-o controlmaster=no"]
    assert not line.refused


def test_an_unsupported_option_with_an_effect_is_refused() -> None:
    line = parse_ssh(["-w", "0:0", "-N", "host"])

    assert [str(remark) for remark in line.refused] == [
        "-w 0:0: tun(4) devices are not supported",
    ]


def test_x11_forwarding_is_refused_only_in_a_session() -> None:
    assert not parse_ssh(["-XN", "host"]).refused
    assert parse_ssh(["-X", "host", "xterm"]).refused


@pytest.mark.parametrize("letter", sorted(OPTIONS))
def test_an_option_that_is_not_honoured_has_a_reason(letter: str) -> None:
    meaning = OPTIONS[letter]

    assert bool(meaning.reason) is (
        {meaning.support, meaning.support_in_session} - {None} != {Support.HONOURED}
    )


# -- properties ------------------------------------------------------------------------------------


@given(st.lists(st.text()))
def test_any_arguments_are_parsed_or_refused(arguments: list[str]) -> None:
    with suppress(CommandLineError):
        assert parse_autossh(arguments).ssh.destination in arguments


@given(st.lists(st.tuples(LETTERS, VALUES)))
def test_written_options_are_parsed_back(pairs: list[tuple[str, str]]) -> None:
    options = [
        Option(letter, value if OPTIONS[letter].takes_value else None)
        for letter, value in pairs
        if letter != "o"
    ]
    arguments = [
        word for o in options for word in ([f"-{o.letter}"] + ([o.value] if o.value else []))
    ]

    assert list(parse_ssh([*arguments, "host"]).options) == options
    assert list(parse_ssh(["host", *arguments]).options) == options
