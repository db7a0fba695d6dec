"""Which prompts ask for a password, and how a question for a person is worded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.login_prompts import Round, change_question
from tunnelkeeper.core.questions import PROMPT_LIMIT, Kind

HOP = "ann@server:22"


@pytest.mark.parametrize(
    "prompt",
    [
        "Password: ",
        "Password for ann@code.example:",
        "(ann@server) Password: ",
        "ann's password:",
        "Passwort: ",
        "Mot de passe : ",
        "Contraseña: ",
        "пароль: ",
        "パスワード:",
    ],
)
def test_a_prompt_for_a_password_is_known(prompt: str) -> None:
    assert Round(prompts=((prompt, False),)).kind is Kind.PASSWORD


@pytest.mark.parametrize(
    "prompt",
    [
        "Verification code: ",
        "One-time password (OATH) for `ann': ",
        "Password & verification code: ",
        "Enter PASSCODE: ",
        "PIN + token password: ",
        "Current password: ",
        "(current) UNIX password: ",
        "New password: ",
        "Retype new password: ",
        "Neues Passwort: ",
        "Passcode or option (1-2): ",
        "Duo password: ",
        "Response: ",
        "",
    ],
)
def test_everything_else_is_asked_of_a_person(prompt: str) -> None:
    assert Round(prompts=((prompt, False),)).kind is Kind.CODES


def test_echo_several_prompts_and_the_instruction_speak_against_a_password() -> None:
    assert Round(prompts=(("Password: ", True),)).kind is Kind.CODES
    assert Round(prompts=(("Password: ", False), ("Password: ", False))).kind is Kind.CODES
    instruction = "Enter your one-time password"
    assert Round(instruction=instruction, prompts=(("Password: ", False),)).kind is Kind.CODES


def test_prompts_that_change_the_password_are_known() -> None:
    assert Round(prompts=(("New password: ", False),)).changes_password
    assert not Round(prompts=(("Password: ", False),)).changes_password
    assert not Round(prompts=(("New code: ", False),)).changes_password


def test_a_question_names_the_hop_and_quotes_the_server() -> None:
    round_ = Round("Duo", "Two-factor\x1b[2J login\nfor ann", (("Code: ", False), ("Name", True)))
    text, prompts = round_.question(HOP, ("Welcome",))
    assert text == (
        "ann@server:22 asks for 2 answers; the server says: "
        r"'Welcome / Duo / Two-factor\\x1b[2J login / for ann'"
    ).replace(r"\\x1b", r"\x1b")
    assert [(p.text, p.echo) for p in prompts] == [("Code:", False), ("Name", True)]


def test_a_server_that_says_nothing_is_not_quoted() -> None:
    text, (prompt,) = Round(prompts=(("Password: ", False),)).question(HOP)
    assert (text, prompt.text) == ("ann@server:22 asks for a password", "Password:")


def test_the_last_line_of_a_long_prompt_is_the_prompt() -> None:
    prompt = "Choose:\n\n 1. Push to X\n 2. SMS\n\nPasscode or option (1-2): "
    text, (asked,) = Round(prompts=((prompt, True),)).question(HOP)
    assert text.endswith("'Choose: / 1. Push to X / 2. SMS'")
    assert asked.text == "Passcode or option (1-2):"


def test_a_new_password_is_asked_for_twice() -> None:
    text, prompts = change_question(HOP, "Your password has expired.")
    assert text == (
        "ann@server:22 demands a new password; the server says: 'Your password has expired.'"
    )
    assert len(prompts) == 3
    assert not any(prompt.echo for prompt in prompts)


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.booleans()), max_size=5))
def test_any_text_becomes_one_printable_line_with_the_hop_first(
    name: str, instruction: str, prompts: list[tuple[str, bool]]
) -> None:
    text, asked = Round(name, instruction, tuple(prompts)).question(HOP)
    assert text.startswith(f"{HOP} asks for ")
    assert text.isprintable()
    assert [prompt.echo for prompt in asked] == [echo for _, echo in prompts]
    assert all(p.text.isprintable() and 0 < len(p.text) <= PROMPT_LIMIT for p in asked)
