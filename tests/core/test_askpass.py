"""When a program such as ssh-askpass is used, and the texts of its dialogs."""

from __future__ import annotations

import pytest

from tunnelkeeper.core.askpass import (
    DEFAULT_PROGRAMS,
    TEXT_LIMIT,
    AskPassProgram,
    consent_text,
    dialog_text,
    find_program,
    needs_consent,
)
from tunnelkeeper.core.questions import HostKeyDetails, Kind, Prompt, Question, Subject

HOP = "ann@server:22"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SSH_ASKPASS": "/a"}, None),
        ({"SSH_ASKPASS": "/a", "DISPLAY": ""}, None),
        ({"SSH_ASKPASS": "/a", "DISPLAY": ":0"}, AskPassProgram("/a")),
        ({"SSH_ASKPASS": "/a", "WAYLAND_DISPLAY": "w"}, AskPassProgram("/a")),
        ({"SSH_ASKPASS": "/a", "SSH_ASKPASS_REQUIRE": "force"}, AskPassProgram("/a", True)),
        ({"SSH_ASKPASS": "/a", "SSH_ASKPASS_REQUIRE": "prefer"}, None),
        (
            {"SSH_ASKPASS": "/a", "SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"},
            AskPassProgram("/a", True),
        ),
        ({"SSH_ASKPASS": "/a", "SSH_ASKPASS_REQUIRE": "NEVER", "DISPLAY": ":0"}, None),
        ({"DISPLAY": ":0"}, AskPassProgram(DEFAULT_PROGRAMS[0])),
    ],
)
def test_the_program_is_found_as_ssh_finds_it(
    environment: dict[str, str], expected: AskPassProgram | None
) -> None:
    assert find_program(environment, lambda _: True) == expected


def test_without_any_program_nothing_is_asked() -> None:
    assert find_program({"DISPLAY": ":0"}, lambda _: False) is None


def test_a_dialog_names_the_hop_and_why_the_last_answer_did_not_serve() -> None:
    prompt = Prompt("Code: ")
    question = Question(
        "q1", Subject(Kind.CODES, HOP), f"{HOP} asks", (prompt,), is_live=True, problem="refused"
    )
    assert dialog_text(question, prompt) == f"refused\n{HOP} asks\nCode:"
    assert not needs_consent(question)


def test_a_dialog_for_a_key_has_the_prompt_that_names_it() -> None:
    prompt = Prompt("Enter passphrase for key '/k': ")
    question = Question("q1", Subject(Kind.PASSPHRASE, "/k"), "the private key /k ...", (prompt,))
    assert dialog_text(question, prompt) == "Enter passphrase for key '/k':"


def test_a_dialog_for_a_host_key_has_its_fingerprint_and_other_names() -> None:
    prompt = Prompt("yes or no? ", echo=True)
    details = HostKeyDetails("ED25519", "SHA256:abc", other_names=("old", "older"))
    question = Question(
        "q1", Subject(Kind.HOST_KEY, HOP), "no key is known", (prompt,), host_key=details
    )
    assert dialog_text(question, prompt) == (
        "no key is known\nED25519 key fingerprint is SHA256:abc\n"
        "This key is known as: old, older\nyes or no?"
    )


def test_a_text_is_bounded_and_printable() -> None:
    prompt = Prompt("\x1b[2J" + "x" * 5000)
    question = Question("q1", Subject(Kind.CODES, HOP), "y" * 5000, (prompt,))
    text = dialog_text(question, prompt)
    assert len(text) <= TEXT_LIMIT
    assert "\x1b" not in text


def test_the_consent_names_what_the_login_asks_for() -> None:
    question = Question("q1", Subject(Kind.CODES, HOP), "text")
    assert needs_consent(question)
    assert consent_text(question) == f"{HOP} asks for a code. Log in now?"
    question = Question("q1", Subject(Kind.PASSWORD, HOP), "text")
    assert consent_text(question) == f"{HOP} asks for a password. Log in now?"
