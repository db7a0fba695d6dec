"""Tunnels whose private key has a passphrase, against the real sshd, compared with ssh."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.e2e.agent import Agent
from tests.e2e.keys import fingerprint, make_key, public
from tests.e2e.sandbox import USER, Sandbox, socks_tunnel
from tests.requirements import require

if TYPE_CHECKING:
    from tests.e2e.program import Program

PASSPHRASE = "open-sesame-2718"


class Person:
    """A person at a client of the control protocol."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(30)
        self._connection.connect(str(program.socket))
        self._answers = self._connection.makefile("rb")

    def close(self) -> None:
        self._answers.close()
        self._connection.close()

    def call(self, method: str, secret: bytes = b"", **params: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._connection.sendall(json.dumps(request).encode() + b"\n" + secret)
        answer = json.loads(self._answers.readline())
        assert "result" in answer, answer
        return answer["result"]

    def answer(self, question: str, text: str) -> Any:
        claim = self.call("claim", id=question)
        secret = text.encode()
        return self.call("answer", secret, id=question, nonce=claim["nonce"], lengths=[len(secret)])


@pytest.mark.parametrize("options", [{}, {"kind": "rsa", "bits": 2048, "format_": "PEM"}])
def test_one_answer_unlocks_a_key_for_all_tunnels_and_reconnects_until_lock(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    key = make_key(sandbox.directory / "locked", passphrase=PASSPHRASE, **options)
    sandbox.authorized_keys.write_text(public(key) + "\n")
    server = sandbox.sshd()
    setting = f'identity_files = "{key}"'
    program = sandbox.program(
        socks_tunnel("db", server.port, setting) + socks_tunnel("web", server.port, setting)
    )
    program.up()
    blocked = [program.wait_for_state(name, "blocked", "answer_needed") for name in ("db", "web")]
    [question] = {tunnel.failure.question for tunnel in blocked if tunnel.failure is not None}
    assert blocked[0].failure is not None
    assert "tunnelkeeper unlock" in blocked[0].failure.hint
    person = Person(program)
    try:
        wrong = person.answer(question, "guess")
        assert wrong == {"accepted": False, "problem": "the passphrase is wrong"}
        assert person.answer(question, PASSPHRASE)["accepted"] is True
        program.wait_until_up("db", "web")

        server.kill()
        program.wait_for_state("db", "backoff")
        server.start()
        program.wait_until_up("db", "web")  # with the key in memory, and no one asked

        assert person.call("lock") == {"keys": 1, "passwords": 0}
        assert program.tunnel("db").state == "up"
        server.kill()
        server.start()
        after = program.wait_for_state("db", "blocked", "answer_needed")
        assert after.failure is not None
        assert after.failure.question != question
    finally:
        person.close()
    check_no_trace(program)


def check_no_trace(program: Program) -> None:
    """Check that the passphrase is in no log, argument or environment of the program."""
    texts = [program.log(), json.dumps(program.call("status"))]
    for process in psutil.process_iter():
        folder = Path("/proc", str(process.pid))
        for name in ("cmdline", "environ"):
            try:
                texts.append((folder / name).read_bytes().decode("utf-8", "replace"))
            except OSError:  # it has ended, or belongs to the kernel
                continue
    assert not [text for text in texts if PASSPHRASE in text]


def test_unlock_before_the_start_needs_no_question_later(sandbox: Sandbox) -> None:
    key = make_key(sandbox.directory / "locked", passphrase=PASSPHRASE)
    sandbox.authorized_keys.write_text(public(key) + "\n")
    lines = (f'identity_files = "{key}"', "autostart = false")
    program = sandbox.program(socks_tunnel("db", sandbox.sshd().port, *lines))
    program.up()
    person = Person(program)
    try:
        [question] = person.call("unlock", names=["db"], for_seconds=3600)["questions"]
        assert person.answer(question, PASSPHRASE)["accepted"] is True
        assert person.call("unlock", names=["db"])["questions"] == []
        person.call("start", names=["db"])
        program.wait_until_up("db")
        assert person.call("questions")["questions"] == []
    finally:
        person.close()


def test_ssh_too_tries_other_keys_before_it_asks(sandbox: Sandbox) -> None:
    """The server accepts a locked and an open key: both log in with the open one, unasked."""
    locked = make_key(sandbox.directory / "locked", passphrase=PASSPHRASE)
    plain = make_key(sandbox.directory / "plain")
    sandbox.authorized_keys.write_text(f"{public(locked)}\n{public(plain)}\n")
    server = sandbox.sshd()
    files = f'identity_files = ["{locked}", "{plain}"]'
    program = sandbox.program(socks_tunnel("t", server.port, files))
    program.up()
    program.wait_until_up()

    command = [
        require("ssh"),
        *("-F", "none", "-p", str(server.port), "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-i", str(locked), "-i", str(plain), f"{USER}@127.0.0.1", "true"),
    ]
    environment = {name: text for name, text in os.environ.items() if name != "SSH_AUTH_SOCK"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)


def test_the_agent_gets_the_same_key_as_from_ssh(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    listed = []
    for login in (log_in_with_ssh, log_in_with_tunnelkeeper):
        agent = Agent(sandbox.subdirectory(login.__name__))
        agent.start()
        try:
            login(sandbox, server.port, agent)
            listed.append(agent.list())
        finally:
            agent.close()
    assert listed[0] == listed[1]
    assert fingerprint(sandbox.key) in listed[0]


def log_in_with_ssh(sandbox: Sandbox, port: int, agent: Agent) -> None:
    command = [
        require("ssh"),
        *("-F", "none", "-p", str(port), "-o", "BatchMode=yes", "-o", "AddKeysToAgent=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-i", str(sandbox.key), f"{USER}@127.0.0.1", "true"),
    ]
    environment = {**os.environ, "SSH_AUTH_SOCK": str(agent.socket)}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)


def log_in_with_tunnelkeeper(sandbox: Sandbox, port: int, agent: Agent) -> None:
    lines = (f'identity_agent = "{agent.socket}"', "add_keys_to_agent = true")
    program = sandbox.program(socks_tunnel("t", port, *lines))
    program.up()
    program.wait_until_up()
    program.stop()
