"""Logins that a person answers, at a real sshd with PAM."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.e2e.pam_sshd import STEP, PamSshd, one_time_code, start_pam_sshd
from tests.e2e.person import person
from tests.e2e.sandbox import Sandbox, socks_tunnel

if TYPE_CHECKING:
    from tests.e2e.program import Program

PASSWORD = "correct-horse"
NEW_PASSWORD = "battery-staple-7"
KEYBOARD = "keyboard-interactive:pam"


def tunnel(server: PamSshd, name: str, user: str) -> str:
    return socks_tunnel(name, server.port, f'user = "{user}"')


def blocked(program: Program, name: str) -> str:
    """Wait until a tunnel needs an answer; return the message of its failure."""
    failure = program.wait_for_state(name, "blocked", "answer_needed").failure
    assert failure is not None
    assert failure.hint == f"tunnelkeeper unlock {name}"
    return failure.message


def test_passwords_codes_and_a_change_of_password_with_one_server(sandbox: Sandbox) -> None:
    methods = {
        "tkkey": "publickey",
        "tkpass": "password",
        "tkcode": f"publickey,{KEYBOARD}",
        "tkrev": f"{KEYBOARD},publickey",
        "tkold": KEYBOARD,
    }
    passwords = dict.fromkeys(methods, PASSWORD) | {"tkcode": "", "tkrev": ""}
    server = start_pam_sshd(sandbox, passwords, methods, frozenset({"tkold"}))
    names = {name: f"tk{name}" for name in ("key", "pass", "code", "rev", "old")}
    program = sandbox.program(*(tunnel(server, *item) for item in names.items()))
    program.up()

    # With no one present the tunnels with a question wait, and make PAM ask nothing.
    program.wait_until_up("key")
    assert "asks for a password, and no person is present" in blocked(program, "pass")
    for name in ("code", "rev", "old"):
        assert "no person is present" in blocked(program, name)
    assert "keyboard-interactive devices" not in server.log()

    with person(program, "pass", "code", "rev", "old") as someone:
        someone.wait_for_question("code")
        progress = program.tunnel("code").progress
        assert progress is not None
        assert progress.waiting == "waiting for an answer"
        someone.asked.clear()
        code = someone.answer("code", one_time_code())
        assert code.kind == "codes"
        assert "One-time password" in code.prompts[0].text
        assert someone.answer("pass", PASSWORD).kind == "password"
        program.wait_until_up("code")  # pam_oath rewrites its file: two logins at once could fail
        someone.answer("rev", one_time_code())
        assert someone.answer("old", PASSWORD).kind == "password"
        answers = {"Current": PASSWORD, "New": NEW_PASSWORD, "Retype": NEW_PASSWORD}
        while program.tunnel("old").state != "up" and answers:
            prompt = someone.wait_for_question("old").prompts[0].text.split()[0]
            someone.asked.pop()
            question = someone.answer("old", answers.pop(prompt))
            assert question.kind == "codes"
        program.wait_until_up()
    assert program.status().questions == []

    # A new connection needs a new code. The old one carries the data until a person gives it.
    program.call("restart", names=["code"], graceful=True)
    replaced = program.wait_for("code", lambda t: t.replacement and t.replacement.failure)
    assert replaced.state == "up"
    assert replaced.replacement is not None
    assert replaced.replacement.failure is not None
    assert replaced.replacement.failure.question
    with person(program, "code") as someone:
        someone.answer("code", one_time_code(time.time() + STEP))
        program.wait_for("code", lambda t: t.replacement is None or t.replacement.closes_at)

    # After a restart of the server the passwords are in memory, and codes are never kept.
    server.kill()
    program.wait_for("key", lambda key: key.state != "up")
    server.start()
    program.wait_until_up("key", "pass", "old")
    for name in ("code", "rev"):
        assert "no person is present" in blocked(program, name)

    program.call("lock")
    server.kill()
    program.wait_for("key", lambda key: key.state != "up")
    server.start()
    program.wait_until_up("key")
    assert "asks for a password" in blocked(program, "pass")
    for secret in (PASSWORD, NEW_PASSWORD):
        assert secret not in program.log()


def test_three_wrong_answers_cost_one_connection(sandbox: Sandbox) -> None:
    server = start_pam_sshd(sandbox, {"tkpass": PASSWORD}, {"tkpass": KEYBOARD})
    program = sandbox.program(tunnel(server, "t", "tkpass"))
    program.up()
    blocked(program, "t")
    before = server.attempts("tkpass")
    with person(program, "t") as someone:
        for wrong in ("one", "two", "three"):
            someone.answer("t", wrong)
        refused = program.wait_for(
            "t", lambda t: t.failure is not None and "refused 3 times" in t.failure.message
        )
    assert refused.state == "blocked"
    assert [question.problem for question in someone.asked] == [
        "",
        *["the password was refused"] * 2,
    ]
    assert server.attempts("tkpass") == before + 1
    (question,) = program.status().questions
    assert not question.live


def test_a_server_that_ends_the_login_first_is_not_asked_again(sandbox: Sandbox) -> None:
    server = sandbox.sshd(
        PubkeyAuthentication="no", PasswordAuthentication="yes", LoginGraceTime="5"
    )
    program = sandbox.program(socks_tunnel("t", server.port))
    program.up()
    blocked(program, "t")
    before = server.log().count("Connection from")
    with person(program, "t") as someone:
        someone.wait_for_question("t")
        closed = program.wait_for(
            "t", lambda t: t.failure is not None and "LoginGraceTime" in t.failure.message
        )
    assert (closed.state, closed.retry_at) == ("blocked", None)
    assert server.log().count("Connection from") == before + 1
    (question,) = program.status().questions
    assert (question.live, question.prompts) == (False, [])
    assert "closed while it waited" in question.problem
