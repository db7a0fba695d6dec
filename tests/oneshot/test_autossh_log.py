"""The log of autossh and the messages of ssh: a hint is a line of its own in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tests.fake_clock import FakeClock
from tunnelkeeper.oneshot.autossh.log import Level, Log, SshMessages, event_log_for

if TYPE_CHECKING:
    from tunnelkeeper.net.line_writer import LineWriter


class Lines(list[str]):
    """A line writer that keeps its lines."""

    def write(self, line: str, level: int = 6) -> int:
        self.append(line)
        return len(line)


def test_a_hint_is_a_line_of_its_own_in_the_log_and_on_standard_error() -> None:
    lines, messages = Lines(), Lines()
    log = Log(Level.INFO, FakeClock(), cast("LineWriter", lines), has_times=True)
    ssh_messages = SshMessages(Level.WARNING, cast("LineWriter", messages))

    event_log_for(log, ssh_messages).write("warning", "relay", "refused", "ssh-add /k")

    assert [line.partition("]: ")[2] for line in lines] == [
        "relay: refused\n",
        "  hint: ssh-add /k\n",
    ]
    assert messages == ["autossh: relay: refused\n", "  hint: ssh-add /k\n"]
