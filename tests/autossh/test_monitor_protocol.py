from __future__ import annotations

import pytest

from tunnelkeeper.autossh.command_line import Monitor
from tunnelkeeper.autossh.environment import Settings
from tunnelkeeper.autossh.monitor_protocol import (
    Timing,
    format_message,
    loop_forwards,
    timing_from_settings,
    timing_note,
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), Timing(600, 600, 15)),
        (Settings(poll=10), Timing(10, 10, 5)),
        (Settings(poll=60, first_poll=5), Timing(5, 60, 15)),
        (Settings(first_poll=900), Timing(900, 600, 15)),
        (Settings(max_lifetime=100), Timing(100, 100, 15)),
        (Settings(poll=60, first_poll=200, max_lifetime=100), Timing(100, 60, 15)),
    ],
)
def test_the_environment_sets_the_timing_of_probes(settings: Settings, expected: Timing) -> None:
    assert timing_from_settings(settings) == expected


@pytest.mark.parametrize(
    ("poll", "expected"),
    [
        (10, "short poll time: adjusting net timeouts to 5000"),
        (29, "short poll time: adjusting net timeouts to 14500"),
        (30, None),
        (600, None),
    ],
)
def test_a_shorter_timeout_is_logged(poll: int, expected: str | None) -> None:
    assert timing_note(Settings(poll=poll)) == expected


def test_a_loop_consists_of_a_local_and_a_remote_forward() -> None:
    assert [str(forward) for forward in loop_forwards(Monitor(20000))] == [
        "127.0.0.1:20000:127.0.0.1:20000",
        "127.0.0.1:20000:127.0.0.1:20001",
    ]


def test_a_loop_through_an_echo_service_is_one_forward() -> None:
    assert [str(forward) for forward in loop_forwards(Monitor(20000, 7))] == [
        "127.0.0.1:20000:127.0.0.1:7",
    ]


def test_a_message_contains_sender_number_and_text() -> None:
    assert format_message("box", 12, 34, "hello") == b"box autossh 12 34 hello\r\n"
