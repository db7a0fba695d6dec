"""Unknown host keys that become questions: what is shown, and what each answer does."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.requirements import require
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, new_key, public, serve
from tests.ssh.waiting import until
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.questions import Kind, Question, QuestionError, Verdict
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.ssh.auth.known_hosts import fingerprint
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.connection import Connection


@dataclass
class Asking:
    """A context whose tunnels ask, and which of them may retry."""

    context: SshContext = field(default_factory=SshContext)
    retried: list[str] = field(default_factory=list)
    progress: ProgressRecorder = field(default_factory=ProgressRecorder)

    def __post_init__(self) -> None:
        self.context.questions.retry = self.retried.append

    async def fail(
        self, host: Host, via: Connection | None = None, tunnel: str = "db"
    ) -> tuple[Failure, Question | None]:
        """Connect in vain. Return the failure and the question that it waits for."""
        self.progress.tunnel = tunnel
        with pytest.raises(FailureError) as raised:
            await connect_hop(host, via, self.context, self.progress)
        failure = raised.value.failure
        asked = {question.id: question for question in self.context.questions.questions}
        return failure, asked.get(failure.question)

    async def answer(self, question: Question | None, text: str, client: str = "c") -> Verdict:
        assert question is not None
        board = self.context.questions
        claim = board.claim(client, question.id)
        secret = Secret.from_text(text)
        return await board.answer(client, question.id, claim.nonce, [secret])


def asks(server: Server, **changes: Any) -> Host:
    return server.host(**{"host_key_policy": "ask", **changes})


@pytest.fixture
def stranger(server: Server) -> Server:
    """Return a server without a known host key."""
    server.known_hosts.unlink()
    return server


async def test_an_unknown_key_is_asked_about_with_no_connection_open(stranger: Server) -> None:
    here = Asking()
    other = f"elsewhere {public(stranger.host_key)}\n"
    stranger.known_hosts.write_text(f"# mine\n{other}|1|{'A' * 27}=|{'A' * 27}= {other[10:]}")

    failure, question = await here.fail(asks(stranger))

    shown = f"ssh-ed25519 {fingerprint(stranger.host_key.public_data)}"
    name = f"[127.0.0.1]:{stranger.port}"
    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.message == f"no host key is known for {name}; the server shows {shown}"
    assert failure.hint == "tunnelkeeper trust db"
    assert failure.files == (str(stranger.known_hosts),)
    assert question is not None
    assert question.subject.kind is Kind.HOST_KEY
    assert question.subject.about == failure.hop == f"me@127.0.0.1:{stranger.port}"
    assert question.text == f"{failure.hop}: no host key is known for {name}"
    assert [prompt.echo for prompt in question.prompts] == [True]
    details = question.host_key
    assert details is not None
    assert f"{details.algorithm} {details.fingerprint}" == shown
    assert details.files == (str(stranger.known_hosts),)
    assert details.other_names == (
        f"{stranger.known_hosts}:2: elsewhere",
        f"{stranger.known_hosts}:3: a hashed name",
    )
    assert details.art == art(stranger.host_key.export_public_key())
    assert stranger.logins == []
    await until(lambda: not stranger.connections)


def art(key: bytes) -> str:
    """Return the random art that ssh-keygen prints."""
    command = [require("ssh-keygen"), "-lv", "-f", "-"]
    printed = subprocess.run(command, input=key, check=True, capture_output=True).stdout
    return printed.decode().partition("\n")[2].rstrip("\n")


def found(server: Server) -> str:
    """Return the lines that ssh-keygen finds for the server."""
    command = [require("ssh-keygen"), "-F", f"[127.0.0.1]:{server.port}"]
    command += ["-f", str(server.known_hosts)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("answer", ["yes", " YES ", "fingerprint"])
@pytest.mark.parametrize("is_hashed", [False, True])
async def test_an_accepted_key_is_saved_and_the_tunnels_retry(
    stranger: Server, answer: str, is_hashed: bool
) -> None:
    here = Asking()
    host = asks(stranger, hash_known_hosts=is_hashed)
    _, question = await here.fail(host)
    if answer == "fingerprint":
        answer = fingerprint(stranger.host_key.public_data)

    assert await here.answer(question, answer) == Verdict(True)

    assert here.retried == ["db"]
    assert here.context.questions.questions == ()
    line = stranger.known_hosts.read_text()
    assert line.startswith("|1|" if is_hashed else f"[127.0.0.1]:{stranger.port} ")
    assert stranger.known_hosts.stat().st_mode & 0o777 == 0o600
    assert public(stranger.host_key) in found(stranger)
    async with connected(host, context=here.context):
        assert stranger.logins == ["me"]


@pytest.mark.parametrize("answer", ["no", "", "y", "SHA256:somethingelse", "ssh-ed25519"])
async def test_any_other_answer_leaves_the_question(stranger: Server, answer: str) -> None:
    here = Asking()
    _, question = await here.fail(asks(stranger))

    verdict = await here.answer(question, answer)

    assert verdict.accepted is False
    assert not stranger.known_hosts.exists()
    assert here.retried == []
    (again,) = here.context.questions.questions
    assert (again.attempt, again.problem) == (2, verdict.problem)


async def test_another_key_for_the_same_host_is_asked_about_again(tmp_path: Path) -> None:
    here = Asking()
    keys = [new_key(), new_key("ecdsa-sha2-nistp256")]
    async with serve(tmp_path, server_host_keys=keys) as server:
        server.known_hosts.unlink()
        first, second = (
            asks(server, host_key_algorithms=key.algorithm.decode("ascii")) for key in keys
        )
        _, question = await here.fail(first, tunnel="db")
        assert question is not None
        board = here.context.questions
        claim = board.claim("c", question.id)

        _, unchanged = await here.fail(first, tunnel="db")
        _, again = await here.fail(second, tunnel="db")

        assert unchanged is not None
        assert again is not None
        assert [each.attempt for each in (question, unchanged, again)] == [1, 1, 2]
        assert again.id == question.id
        with pytest.raises(QuestionError, match="claim it again"):
            await board.answer("c", question.id, claim.nonce, [Secret(b"yes")])
        old = fingerprint(keys[0].public_data)
        assert (await here.answer(again, old)).accepted is False
        assert not server.known_hosts.exists()
        assert (await here.answer(again, fingerprint(keys[1].public_data))).accepted
        assert server.known_hosts.read_text().endswith(f"{public(keys[1])}\n")


async def test_more_tunnels_wait_for_the_same_answer_without_connecting(stranger: Server) -> None:
    here = Asking()
    await here.fail(asks(stranger), tunnel="db")
    here.progress.steps.clear()

    _, question = await here.fail(asks(stranger), tunnel="web")

    assert here.progress.steps == []
    assert question is not None
    assert question.tunnels == ("db", "web")
    await here.fail(asks(stranger), tunnel="web")
    assert "host_key" in here.progress.step_names
    assert (await here.answer(question, "yes")).accepted
    assert here.retried == ["db", "web"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"host_key_policy": "strict"}, ""), ({"batch_mode": True}, "BatchMode forbids to ask")],
)
async def test_nothing_is_asked_under_strict_or_in_batch_mode(
    stranger: Server, changes: dict[str, Any], words: str
) -> None:
    here = Asking()

    failure, question = await here.fail(asks(stranger, **changes))

    assert (failure.cause, question) == (Cause.HOST_KEY_UNKNOWN, None)
    assert words in failure.message
    assert "tunnelkeeper trust db" in failure.hint


async def test_a_changed_key_is_never_asked_about(stranger: Server) -> None:
    here = Asking()
    stranger.add_known_host_key(new_key())

    failure, question = await here.fail(asks(stranger))

    assert (failure.cause, question) == (Cause.HOST_KEY_CHANGED, None)
    name = f"[127.0.0.1]:{stranger.port}"
    assert f"ssh-keygen -R '{name}' -f {stranger.known_hosts}" in failure.hint


async def test_a_key_that_another_program_saved_meanwhile_is_not_replaced(stranger: Server) -> None:
    here = Asking()
    _, question = await here.fail(asks(stranger))
    stranger.add_known_host_key(new_key())
    before = stranger.known_hosts.read_text()

    verdict = await here.answer(question, "yes")

    assert verdict.accepted is False
    assert "is not the known one" in verdict.problem
    assert stranger.known_hosts.read_text() == before


async def test_a_key_that_cannot_be_saved_is_accepted_until_the_program_ends(
    stranger: Server, tmp_path: Path
) -> None:
    for files in ((), ("/dev/null",), (str(tmp_path / "a" / "b" / "c"),)):
        here = Asking()
        host = asks(stranger, user_known_hosts=files)
        _, question = await here.fail(host)
        assert (await here.answer(question, "yes")).accepted
        async with connected(host, context=here.context):
            pass
    assert [text for text in here.progress.warnings if "could not be saved" in text]


async def test_the_address_gets_a_line_of_its_own(stranger: Server) -> None:
    here = Asking()
    host = asks(stranger, hostname="localhost", check_host_ip=True, address_family="inet")
    _, question = await here.fail(host)
    assert (await here.answer(question, "yes")).accepted
    # CheckHostIP does not apply to loopback addresses, as in ssh.
    assert stranger.known_hosts.read_text().count("\n") == 1


async def test_a_chain_of_two_unknown_hosts_asks_about_each(
    stranger: Server, tmp_path: Path
) -> None:
    here = Asking()
    (tmp_path / "jump").mkdir()
    async with serve(tmp_path / "jump") as jump:
        jump.known_hosts.unlink()
        chain = (asks(jump), asks(stranger))
        async with ConnectionPool(here.context) as pool:
            for server in (jump, stranger):
                with pytest.raises(FailureError):
                    await pool.connect(chain, here.progress)
                (question,) = here.context.questions.questions
                assert question.subject.about.endswith(f":{server.port}")
                assert question.tunnels == ("t",)
                assert (await here.answer(question, "yes")).accepted
            opened = await pool.connect(chain, here.progress)
            await opened.close()
    assert here.retried == ["t", "t"]


async def test_a_certificate_by_an_unknown_authority_is_named_in_the_question(
    tmp_path: Path,
) -> None:
    here = Asking()
    async with serve(tmp_path, certified_by=new_key()) as server:
        host = asks(server, host_key_algorithms="ssh-ed25519-cert-v01@openssh.com")
        failure, question = await here.fail(host)

        assert "its certificate is not accepted: its CA key" in failure.message
        assert (await here.answer(question, "yes")).accepted
        assert server.known_hosts.read_text().endswith(f"{public(server.host_key)}\n")
