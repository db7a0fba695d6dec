"""What status and the dashboard show while a login waits for its user at a key or an agent."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.ssh.auth.agent import Action

if TYPE_CHECKING:
    from tunnelkeeper.questions.board import QuestionBoard
    from tunnelkeeper.ssh.auth.agent import UserWait
    from tunnelkeeper.ssh.context import ProgressListener

_REQUESTS = {
    Action.TOUCH: "touch the security key",
    Action.CONFIRMATION: "confirm the use of the key at its agent",
    Action.AGENT: "unlock the agent",
}


@dataclass(slots=True)
class AbsentUserNotice:
    """The notice of one login. It is shown from `begin` to `end`."""

    hop: str
    user_wait: UserWait
    progress: ProgressListener
    board: QuestionBoard
    _shown: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> None:
        """Show what the login waits for, and log it."""
        self.end()
        wait = self.user_wait
        self.progress.info(
            f"{self.hop}: the login waits for {wait.request}; "
            "does it need a touch, a PIN or a confirmation?"
        )
        self.progress.waiting(f"waiting for {wait.action.value}")
        self._shown.callback(self.progress.waiting, "")
        asked = _REQUESTS.get(wait.action)
        if asked is not None:
            text = f"{asked}: the login on {self.hop} waits for {wait.request}"
            notice = self.board.touch_notice(self.hop, text, self.progress.tunnel)
            self._shown.enter_context(notice)

    def end(self) -> None:
        """Show nothing any more."""
        self._shown.close()
