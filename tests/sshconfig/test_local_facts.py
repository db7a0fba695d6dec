import os
import pwd
from pathlib import Path

import pytest

from tunnelkeeper.sshconfig import gather_facts


def test_the_home_is_that_of_the_account_not_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = pwd.getpwuid(os.getuid())
    monkeypatch.setenv("HOME", "/elsewhere")
    facts = gather_facts()

    assert (facts.user, facts.uid, facts.home) == (account.pw_name, os.getuid(), account.pw_dir)
    assert facts.environment["HOME"] == "/elsewhere"
    assert facts.cwd == str(Path.cwd())


def test_the_home_of_another_user_can_be_looked_up() -> None:
    facts = gather_facts()

    assert facts.home_of("root") == pwd.getpwnam("root").pw_dir
    assert facts.home_of("no such user") is None


def test_a_uid_without_an_account_uses_the_home_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_account(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", no_account)
    monkeypatch.setenv("HOME", "/elsewhere")

    monkeypatch.delenv("LOGNAME", raising=False)

    assert (gather_facts().user, gather_facts().home) == (str(os.getuid()), "/elsewhere")
    assert not gather_facts().has_account
    monkeypatch.setenv("LOGNAME", "ann")
    assert gather_facts().user == "ann"
