from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.autossh.environment import (
    LONG_MAX,
    NO_LIMIT,
    Settings,
    parse_environment,
    parse_integer,
)
from tunnelkeeper.autossh.ssh_command import CommandLineError


def test_an_empty_environment_gives_the_defaults() -> None:
    assert parse_environment({}) == Settings()


def test_every_variable_sets_its_field() -> None:
    settings = parse_environment(
        {
            "AUTOSSH_DEBUG": "",
            "AUTOSSH_LOGLEVEL": "7",
            "AUTOSSH_LOGFILE": "log",
            "AUTOSSH_PIDFILE": "pid",
            "AUTOSSH_GATETIME": "0",
            "AUTOSSH_POLL": "0x10",
            "AUTOSSH_FIRST_POLL": "010",
            "AUTOSSH_MAXSTART": "3",
            "AUTOSSH_MAXLIFETIME": " 60",
            "AUTOSSH_MESSAGE": "hello",
            "AUTOSSH_PORT": "20000:7",
        }
    )

    assert settings == Settings(
        debug=True,
        log_level=7,
        log_file="log",
        pid_file="pid",
        gate_time=0,
        poll=16,
        first_poll=8,
        max_starts=3,
        max_lifetime=60,
        message="hello",
        port="20000:7",
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTOSSH_GATETIME", "-1"),
        ("AUTOSSH_GATETIME", ""),
        ("AUTOSSH_GATETIME", "5x"),
        ("AUTOSSH_GATETIME", "1.5"),
        ("AUTOSSH_GATETIME", "5 "),
        ("AUTOSSH_POLL", "0"),
        ("AUTOSSH_FIRST_POLL", "0"),
        ("AUTOSSH_MAXSTART", "-2"),
        ("AUTOSSH_MAXLIFETIME", "x"),
        ("AUTOSSH_MAXLIFETIME", ""),
        ("AUTOSSH_LOGLEVEL", "8"),
        ("AUTOSSH_LOGLEVEL", "-1"),
        ("AUTOSSH_POLL", "0x"),
        ("AUTOSSH_POLL", "08"),
    ],
)
def test_the_error_of_an_invalid_number_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(CommandLineError, match=variable):
        parse_environment({variable: value})


def test_a_message_has_at_most_64_bytes() -> None:
    assert parse_environment({"AUTOSSH_MESSAGE": 64 * "x"}).message == 64 * "x"
    with pytest.raises(CommandLineError, match="AUTOSSH_MESSAGE"):
        parse_environment({"AUTOSSH_MESSAGE": 33 * "\N{LATIN SMALL LETTER A WITH DIAERESIS}"})


def test_minus_one_means_no_limit_of_starts() -> None:
    assert parse_environment({"AUTOSSH_MAXSTART": "-1"}).max_starts == NO_LIMIT


def test_a_variable_without_effect_is_listed_as_ignored() -> None:
    settings = parse_environment({"AUTOSSH_PATH": "/usr/bin/ssh", "AUTOSSH_NTSERVICE": ""})

    assert [remark.option for remark in settings.ignored] == ["AUTOSSH_PATH"]


def test_a_negative_time_is_the_default() -> None:
    settings = parse_environment(
        {"AUTOSSH_POLL": "-5", "AUTOSSH_FIRST_POLL": "-1", "AUTOSSH_MAXLIFETIME": "-1"}
    )

    assert (settings.poll, settings.first_poll, settings.max_lifetime) == (600, 600, 0)


def test_the_level_is_not_read_while_debugging() -> None:
    assert parse_environment({"AUTOSSH_DEBUG": "", "AUTOSSH_LOGLEVEL": "x"}).log_level == 7


@pytest.mark.parametrize("text", ["9" * 30, "9" * 5000, "0x" + "f" * 40, "9223372036854775808"])
def test_a_number_too_large_for_a_long_becomes_the_nearest_one(text: str) -> None:
    assert parse_integer(text) == LONG_MAX
    assert parse_integer(f"-{text}") == -LONG_MAX


@given(st.integers(-LONG_MAX, LONG_MAX))
def test_numbers_are_decimal_hexadecimal_or_octal_as_in_c(number: int) -> None:
    assert parse_integer(str(number)) == number
    assert parse_integer(hex(number)) == number
    assert parse_integer(oct(number).replace("o", "")) == number
