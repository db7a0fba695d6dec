"""A dashboard in this process on a fake terminal: tests send keys and read the screen."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from tests.dashboard.sample_model import lines_of, text_of
from tunnelkeeper.dashboard.app import Dashboard
from tunnelkeeper.dashboard.glyphs import UNICODE
from tunnelkeeper.dashboard.ui_state import UiState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from prompt_toolkit.input import PipeInput

DEADLINE = 30.0
POLL_INTERVAL = 0.01


class TerminalOutput(io.StringIO):
    """The output stream of a terminal."""

    encoding = "utf-8"

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def isatty(self) -> bool:
        return True


@dataclass
class DashboardTerminal:
    """The terminal of one dashboard. `size` may change like that of a window."""

    dashboard: Dashboard
    keyboard: PipeInput
    output: TerminalOutput
    size: Size = field(default_factory=lambda: Size(rows=35, columns=120))

    def press(self, keys: str) -> None:
        """Send the characters that a terminal sends for these keys."""
        self.keyboard.send_text(keys)

    def lines(self) -> list[str]:
        """Return the lines that prompt_toolkit drew last."""
        rendered = self.dashboard.app.renderer.last_rendered_screen
        if rendered is None:
            return []
        lines = []
        for number in range(self.size.rows):
            row = rendered.data_buffer[number]
            lines.append("".join(row[column].char for column in range(self.size.columns)))
        return lines

    async def wait_for(self, *words: str) -> str:
        """Wait until the screen contains all these words, and return it."""
        return await self.wait_until(lambda text: all(word in text for word in words), str(words))

    async def wait_until(self, condition: Callable[[str], bool], description: str) -> str:
        """Wait until the screen meets a condition, and return it."""
        text = ""
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition(text := "\n".join(self.lines())):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_INTERVAL)
        except TimeoutError:
            raise AssertionError(f"not {description}:\n{text}") from None
        return text

    def rendered_text(self) -> str:
        """Return the screen that the controller rendered last, before prompt_toolkit drew it."""
        return "\n".join(text_of(line) for line in lines_of(self.dashboard.controller.screen))


def refuse_to_start(_config: str | None) -> Callable[[], str | None]:
    """Fail a test that must not start a supervisor."""
    raise AssertionError("the test did not expect a supervisor to be started")


def refuse_to_edit(_config: str | None, _tunnel: str | None) -> bool:
    """Fail a test that must not open an editor."""
    raise AssertionError("the test did not expect an editor to be opened")


@asynccontextmanager
async def running_dashboard(
    socket: Path,
    start: Callable[[str | None], Callable[[], str | None]] = refuse_to_start,
    edit: Callable[[str | None, str | None], bool] = refuse_to_edit,
    depth: ColorDepth = ColorDepth.DEPTH_4_BIT,
) -> AsyncIterator[DashboardTerminal]:
    """Run a dashboard for the duration of the body."""
    terminal_output = TerminalOutput()
    with create_pipe_input() as keyboard:
        output = Vt100_Output(
            terminal_output,
            lambda: terminal.size,
            term="xterm",
            default_color_depth=depth,
            enable_cpr=False,
        )
        dashboard = Dashboard(socket, start, edit, UiState(UNICODE), keyboard, output)
        terminal = DashboardTerminal(dashboard, keyboard, terminal_output)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(dashboard.run())
            yield terminal
            dashboard._exit()
            await running
