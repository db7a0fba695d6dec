from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.importing.crontab import find_crontab_commands, is_system_crontab
from tunnelkeeper.importing.source_commands import NotImportable, SourceCommand

TEXT = r"""
# m h dom mon dow command
SHELL=/bin/bash
AUTOSSH_GATETIME = "0"
@reboot   sleep 20 && /usr/bin/autossh -M 0 -f -N -R 2222:localhost:22 box@relay >/dev/null 2>&1 &
*/5 * * * * pgrep autossh || autossh -f -N -D 1080 relay
0 3 * * * /usr/local/bin/backup && rsync -e ssh a b:c && ssh relay uptime
@reboot ssh -fN -o 'ProxyCommand=nc \%h \%p' relay % this is its input
@reboot sshpass -p hunter2 ssh -N relay
"""


def test_reboot_lines_are_imported_and_scheduled_lines_are_reported() -> None:
    first, scheduled, second, unsupported = find_crontab_commands(
        TEXT, "crontab -l", {"HOME": "/home/ann"}
    )

    assert isinstance(first, SourceCommand)
    assert first.command.arguments[-2:] == ("2222:localhost:22", "box@relay")
    assert first.command.environment["AUTOSSH_GATETIME"] == "0"
    assert (first.origin, first.working_directory) == ("crontab -l, line 5", "/home/ann")
    assert isinstance(scheduled, NotImportable)
    assert "on a schedule (*/5 * * * *)" in scheduled.reason
    assert isinstance(second, SourceCommand)
    assert second.command.arguments == ("-fN", "-o", "ProxyCommand=nc %h %p", "relay")
    assert isinstance(unsupported, NotImportable)
    assert "hunter2" not in str(unsupported)


def test_the_user_field_of_a_system_crontab_becomes_the_account() -> None:
    [line] = find_crontab_commands(
        "@reboot tunnel ssh -N a\n", "/etc/crontab", {}, has_user_field=True
    )

    assert isinstance(line, SourceCommand)
    assert (line.command.account, line.command.arguments) == ("tunnel", ("-N", "a"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/crontab", True),
        ("/etc/cron.d/tunnel", True),
        ("/home/ann/crontab", False),
        ("", False),
    ],
)
def test_only_system_crontabs_have_a_user_field(path: str, expected: bool) -> None:
    assert is_system_crontab(path) is expected


@given(st.text(st.sampled_from("@reboot ssh-N*/5 a\n%\\'\"=A#$")), st.booleans())
def test_any_text_is_accepted_as_a_crontab(text: str, has_users: bool) -> None:
    for finding in find_crontab_commands(text, "crontab", {}, has_user_field=has_users):
        assert finding.origin.startswith("crontab, line ")
