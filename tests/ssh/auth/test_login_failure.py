from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.ssh.auth.login_failure import (
    LoginRecord,
    ServerReplies,
    login_failure,
    ssh_copy_id,
    ssh_options,
    with_offers,
)
from tunnelkeeper.ssh.auth.private_keys import KeyProblem, Unusable

HOST = Host("relay", "relay.example", "me", ports=(2222,), identity_files=("/k/one", "/k/two"))
DEFAULTS = ("/home/me/.ssh/id_rsa", "/home/me/.ssh/id_ed25519")


def fail(*methods: str, partial: bool = False, host: Host = HOST, **record: Any) -> Failure:
    return login_failure(host, LoginRecord(**record), ServerReplies(methods, partial))


def missing(*paths: str) -> list[KeyProblem]:
    return [KeyProblem(path, Unusable.MISSING, "no such file") for path in paths]


def test_refused_keys_come_with_a_command_that_authorizes_the_first() -> None:
    failure = fail("publickey", "password", offered=["/k/one", "/k/two"], offered_file="/k/one")

    assert failure.cause is Cause.AUTH
    assert failure.message == (
        "login as me refused; offered /k/one, /k/two; the server still accepts publickey, password"
    )
    assert "let the server accept the key" in failure.hint
    assert "ssh-copy-id -i /k/one -p 2222 me@relay.example" in failure.hint
    assert "takes no passwords" not in failure.hint


def test_a_server_without_passwords_is_not_reachable_by_ssh_copy_id() -> None:
    failure = fail("publickey", offered=["/k/one"], offered_file="/k/one")

    assert "takes no passwords: run it where you can already log in" in failure.hint


def test_refused_keys_of_the_agent_are_copied_from_the_agent() -> None:
    failure = fail("publickey", offered=["me@laptop (agent)"])

    assert "ssh-copy-id -p 2222 me@relay.example" in failure.hint


def test_without_a_key_ssh_keygen_comes_first() -> None:
    failure = fail(
        "publickey", problems=missing("/k/one", "/k/two"), agent="the agent holds no key"
    )

    assert "no such file: /k/one, /k/two; the agent holds no key" in failure.message
    assert "ssh-keygen -t ed25519 -f /k/one" in failure.hint
    assert "ssh-copy-id -i /k/one -p 2222 me@relay.example" in failure.hint


def test_without_a_default_key_the_commands_use_the_default_one() -> None:
    host = Host("relay", "relay.example", "me", ports=(2222,), identity_files=DEFAULTS)
    failure = fail("publickey", host=host, problems=missing(*DEFAULTS), agent="no agent")

    assert "ssh-keygen -t ed25519`;" in failure.hint
    assert "ssh-copy-id -p 2222 me@relay.example" in failure.hint


def test_an_agent_that_fails_is_reported_instead_of_its_state() -> None:
    failure = fail(agent="the agent holds no key", agent_problem="refused")

    assert "agent: refused" in failure.message
    assert "holds no key" not in failure.message


def test_a_server_that_takes_no_keys_is_not_asked_for_one() -> None:
    failure = fail("password", "keyboard-interactive")

    assert "no key was offered" in failure.message
    assert failure.hint.startswith("the server takes no keys, only password, keyboard-interactive")


def test_a_method_that_the_settings_forbid_is_named_with_the_setting() -> None:
    host = replace(HOST, kbd_interactive_authentication=False)
    failure = fail("keyboard-interactive", host=host, partial=True, signed=["/k/one"])

    assert "allow KbdInteractiveAuthentication" in failure.hint


def test_a_second_factor_that_is_not_supported_is_named_with_those_that_are() -> None:
    failure = fail("gssapi-with-mic", partial=True, offered=["/k/one"], signed=["/k/one"])

    assert failure.message == (
        "login as me refused: the server accepted /k/one, but requires gssapi-with-mic in addition"
    )
    assert "supports publickey, keyboard-interactive and password" in failure.hint
    assert "`Match User me`" in failure.hint
    assert "authorized_keys" not in failure.hint


def test_a_second_key_is_asked_for() -> None:
    failure = fail("publickey", partial=True, offered=["/k/one"], signed=["/k/one"])

    assert "accepted /k/one, but requires publickey in addition" in failure.message
    assert "add the other one to identity_files" in failure.hint


def test_an_encrypted_key_does_not_hide_a_second_factor() -> None:
    locked = KeyProblem("/k/two", Unusable.ENCRYPTED, "it is protected", "ssh-add /k/two")
    record: dict[str, Any] = {"offered": ["/k/one"], "signed": ["/k/one"], "problems": [locked]}

    assert fail("password", partial=True, **record).cause is Cause.AUTH
    assert fail("publickey", **record).cause is Cause.ANSWER_NEEDED
    assert fail("publickey", **record).hint == "ssh-add /k/two"


def test_a_login_refused_after_the_signature_points_at_the_account() -> None:
    failure = fail("publickey", offered=["/k/one"], accepted=["/k/one"], signed=["/k/one"])

    assert "refused although the server accepted /k/one" in failure.message
    assert "the account may be expired" in failure.hint
    assert "ssh-copy-id" not in failure.hint


def test_the_remedy_of_an_unusable_key_comes_first() -> None:
    problem = KeyProblem(
        "/k/one", Unusable.OPEN_TO_OTHERS, "others can read it", "chmod 600 /k/one"
    )
    failure = fail("publickey", offered=["/k/one"], problems=[problem])

    assert failure.hint == "chmod 600 /k/one"
    assert "not used: /k/one: others can read it" in failure.message


def test_the_names_of_methods_are_printable() -> None:
    assert "password\\x1b[2J" in fail("publickey", "password\x1b[2J").message


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ((), "ssh-copy-id -i '/k/my key' -p 2222 me@relay.example"),
        (
            ("ProxyJump=me@a:22,b@c:23",),
            "ssh-copy-id -i '/k/my key' -p 2222 -o ProxyJump=me@a:22,b@c:23 me@relay.example",
        ),
        (
            ("ProxyCommand=nc %h",),
            "ssh-copy-id -i '/k/my key' -p 2222 -o 'ProxyCommand=nc %h' me@relay.example",
        ),
    ],
)
def test_the_command_can_be_pasted(options: tuple[str, ...], command: str) -> None:
    assert ssh_copy_id(HOST, "/k/my key", options) == command


def test_ssh_takes_the_same_way() -> None:
    proxied = Host("relay", "relay.example", "me", proxy_command="nc -X 5 relay 22 # 100%")
    jumps = [Host("a", "a.example", "me"), Host("b", "2001:db8::1", "you", ports=(23,))]

    assert ssh_options(HOST, ()) == []
    assert ssh_options(HOST, jumps) == ["ProxyJump=me@a.example:22,you@[2001:db8::1]:23"]
    assert ssh_options(proxied, ()) == ["ProxyCommand=PROXY_COMMAND"]  # it may have a password


def test_too_many_keys_are_counted() -> None:
    ended = Failure(Cause.AUTH, "the server ended the login: Too many authentication failures")
    failure = with_offers(ended, LoginRecord(offered=["a (agent)", "b (agent)", "/k/one"]))

    assert failure.message.endswith("; offered a (agent), b (agent), /k/one")
    assert "identities_only = true" in failure.hint
    assert "3 offered keys" in failure.hint
    assert with_offers(ended, LoginRecord()) == ended


def test_missing_default_keys_are_no_reason_but_a_missing_key_with_a_name_is() -> None:
    problems = missing(*DEFAULTS)

    assert LoginRecord(problems=problems).had_no_key
    assert not LoginRecord(problems=problems[:1]).had_no_key
    assert not LoginRecord(problems=problems, offered=["/k/one"]).had_no_key
    assert not LoginRecord(problems=problems, agent_problem="refused").had_no_key
