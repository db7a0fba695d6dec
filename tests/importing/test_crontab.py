from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.importing.crontab import lines_of_crontab, with_users
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


def test_lines_at_boot_are_taken_and_those_by_the_clock_are_named() -> None:
    first, clocked, second, odd = lines_of_crontab(TEXT, "crontab -l", {"HOME": "/home/ann"})

    assert isinstance(first, SourceCommand)
    assert first.command.arguments[-2:] == ("2222:localhost:22", "box@relay")
    assert first.command.environment["AUTOSSH_GATETIME"] == "0"
    assert (first.origin, first.folder) == ("crontab -l, line 5", "/home/ann")
    assert isinstance(clocked, NotImportable)
    assert "by the clock (*/5 * * * *)" in clocked.why
    assert isinstance(second, SourceCommand)
    assert second.command.arguments == ("-fN", "-o", "ProxyCommand=nc %h %p", "relay")
    assert isinstance(odd, NotImportable)
    assert "hunter2" not in str(odd)


def test_a_crontab_of_the_system_names_the_user() -> None:
    [line] = lines_of_crontab("@reboot tunnel ssh -N a\n", "/etc/crontab", {}, has_users=True)

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
def test_files_of_the_system_have_users(path: str, expected: bool) -> None:
    assert with_users(path) is expected


@given(st.text(st.sampled_from("@reboot ssh-N*/5 a\n%\\'\"=A#$")), st.booleans())
def test_any_crontab_is_read(text: str, has_users: bool) -> None:
    for found in lines_of_crontab(text, "it", {}, has_users=has_users):
        assert found.origin.startswith("it, line ")
