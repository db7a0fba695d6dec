from __future__ import annotations

import pytest

from tunnelkeeper.autossh.command_line import parse_ssh
from tunnelkeeper.autossh.session_plan import (
    Answer,
    RequestTty,
    SessionPlan,
    plan_session,
    ssh_g_options,
    wants_terminal,
)
from tunnelkeeper.autossh.ssh_command import CommandLineError, Purpose

DEFAULTS: dict[str, list[str]] = {"sessiontype": ["default"], "requesttty": ["auto"]}


def plan_of(line: str, answer: Answer | None = None, **environment: str) -> SessionPlan:
    return plan_session(parse_ssh(line.split()), {**DEFAULTS, **(answer or {})}, environment)


def forwards(answer: Answer) -> list[str]:
    return [f"{type(f).__name__}({f})" for f in plan_of("host", answer).forwards]


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("localforward", "8080 [localhost]:80", "LocalForward(localhost:8080:localhost:80)"),
        ("localforward", "[127.0.0.1]:81 [::1]:80", "LocalForward(127.0.0.1:81:[::1]:80)"),
        ("localforward", "[*]:82 [a]:80", "LocalForward(*:82:a:80)"),
        ("localforward", "[]:83 [a]:80", "LocalForward(*:83:a:80)"),
        ("localforward", "/tmp/a.sock /tmp/b.sock", "LocalForward(/tmp/a.sock:/tmp/b.sock)"),
        ("localforward", "/tmp/a b [h]:1", "LocalForward(/tmp/a b:h:1)"),
        ("localforward", "/tmp/a:b [h]:1", "LocalForward([/tmp/a:b]:h:1)"),
        ("localforward", r"/tmp/a\b /tmp/%d", r"LocalForward([/tmp/a\b]:/tmp/%d)"),
        ("dynamicforward", r"/tmp/a\b", r"SocksForward([/tmp/a\b])"),
        ("remoteforward", "2222 [localhost]:22", "RemoteForward(localhost:2222:localhost:22)"),
        ("remoteforward", "0 [a]:1", "RemoteForward(localhost:0:a:1)"),
        ("remoteforward", "1080 [socks]:0", "RemoteSocksForward(localhost:1080)"),
        ("remoteforward", "[]:1081 [socks]:0", "RemoteSocksForward(*:1081)"),
        ("remoteforward", "/tmp/r [localhost]:1", "RemoteForward(/tmp/r:localhost:1)"),
        ("dynamicforward", "4711", "SocksForward(localhost:4711)"),
        ("dynamicforward", "[::1]:4713", "SocksForward([::1]:4713)"),
    ],
)
def test_forwards_printed_by_ssh_are_parsed(keyword: str, value: str, expected: str) -> None:
    assert forwards({keyword: [value]}) == [expected]


@pytest.mark.parametrize("listen", ["/a", "5432", "[::1]:5432"])
def test_a_forward_that_ssh_prints_twice_is_one_forward(listen: str) -> None:
    answer = {"localforward": [f"{listen} /b"], "dynamicforward": [listen]}

    [forward] = forwards(answer)
    assert forward.startswith("LocalForward(")


def test_gateway_ports_bind_forwards_without_an_address_to_all_interfaces() -> None:
    answer = {
        "gatewayports": ["yes"],
        "localforward": ["1 [a]:2", "[localhost]:3 [a]:4"],
        "dynamicforward": ["5"],
        "remoteforward": ["6 [a]:7"],
    }

    assert forwards(answer) == [
        "LocalForward(*:1:a:2)",
        "LocalForward(localhost:3:a:4)",
        "RemoteForward(localhost:6:a:7)",
        "SocksForward(*:5)",
    ]


def test_clear_all_forwardings_also_clears_those_of_the_configuration() -> None:
    assert forwards({"clearallforwardings": ["yes"], "localforward": ["1 [a]:2"]}) == []


def test_the_error_of_an_invalid_forward_quotes_it() -> None:
    with pytest.raises(CommandLineError, match="LocalForward nonsense"):
        forwards({"localforward": ["nonsense"]})


@pytest.mark.parametrize(
    ("line", "answer", "purpose", "command"),
    [
        ("-N host", {"sessiontype": ["none"]}, Purpose.FORWARD, ""),
        ("host", {"sessiontype": ["none"]}, Purpose.FORWARD, ""),
        ("host -s sftp", {"sessiontype": ["subsystem"]}, Purpose.SUBSYSTEM, "sftp"),
        ("host tmux attach", {}, Purpose.COMMAND, "tmux attach"),
        ("host", {"remotecommand": ["uptime -p"]}, Purpose.COMMAND, "uptime -p"),
        ("host", {"remotecommand": ["none"]}, Purpose.SHELL, ""),
        ("-W a:1 host", {}, Purpose.STDIO, ""),
    ],
)
def test_the_command_line_or_the_configuration_determines_the_purpose(
    line: str, answer: Answer, purpose: Purpose, command: str
) -> None:
    plan = plan_of(line, answer)

    assert (plan.purpose, plan.command) == (purpose, command)


def test_the_target_of_a_stream_is_parsed() -> None:
    assert str(plan_of("-W [::1]:22 host").target) == "[::1]:22"
    with pytest.raises(CommandLineError, match="-W nonsense"):
        plan_of("-W nonsense host")


@pytest.mark.parametrize(
    ("request_tty", "purpose", "stdin_is_terminal", "expected"),
    [
        ("auto", Purpose.SHELL, True, True),
        ("auto", Purpose.SHELL, False, False),
        ("auto", Purpose.COMMAND, True, False),
        ("yes", Purpose.COMMAND, True, True),
        ("yes", Purpose.COMMAND, False, False),
        ("force", Purpose.COMMAND, False, True),
        ("no", Purpose.SHELL, True, False),
    ],
)
def test_a_terminal_is_requested_as_by_ssh(
    request_tty: RequestTty, purpose: Purpose, stdin_is_terminal: bool, expected: bool
) -> None:
    assert wants_terminal(request_tty, purpose, stdin_is_terminal=stdin_is_terminal) is expected


@pytest.mark.parametrize(
    ("value", "request_tty"),
    [("auto", "auto"), ("true", "yes"), ("yes", "yes"), ("force", "force"), ("false", "no")],
)
def test_request_tty_is_parsed_in_every_form_that_ssh_prints(value: str, request_tty: str) -> None:
    assert plan_of("host", {"requesttty": [value]}).terminal == request_tty


def test_variables_of_send_env_and_set_env_are_sent() -> None:
    answer = {"sendenv": ["LANG LC_*"], "setenv": ["MODE=fast", "LANG=C"]}

    plan = plan_of("host", answer, LANG="de", LC_TIME="fr", OTHER="x")

    assert dict(plan.environment) == {"LANG": "de", "LC_TIME": "fr", "MODE": "fast"}


@pytest.mark.parametrize(
    ("value", "agent"),
    [("no", None), ("yes", "/agent"), ("$OTHER", "/other"), ("$NONE", None), ("/a/b", "/a/b")],
)
def test_an_agent_is_forwarded_if_requested(value: str, agent: str | None) -> None:
    plan = plan_of("host", {"forwardagent": [value]}, SSH_AUTH_SOCK="/agent", OTHER="/other")

    assert plan.agent == agent


def test_ssh_g_receives_only_options_that_affect_the_host() -> None:
    line = parse_ssh(
        [
            "-NfvE",
            "log",
            "-F",
            "file",
            "-p",
            "22",
            "-J",
            "hop",
            "-o",
            "User=me",
            "-S",
            "path",
            "host",
            "-C",
            "cmd",
        ]
    )

    assert ssh_g_options(line) == ("-N", "-p", "22", "-J", "hop", "-o", "User=me", "-C")
