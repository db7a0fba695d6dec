"""The dashboard in this process: keys are put in, and the screen is read out."""

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
    """What a terminal is written to."""

    encoding = "utf-8"

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def isatty(self) -> bool:
        return True


@dataclass
class DashboardTerminal:
    """One dashboard, its keys and its screen. size: may be changed, as a window's."""

    dashboard: Dashboard
    keyboard: PipeInput
    output: TerminalOutput
    size: Size = field(default_factory=lambda: Size(rows=35, columns=120))

    def press(self, keys: str) -> None:
        """Type what a terminal would send for it."""
        self.keyboard.send_text(keys)

    def lines(self) -> list[str]:
        """The lines that were drawn last, by the picture; and the typed line's own text."""
        rendered = self.dashboard.app.renderer.last_rendered_screen
        if rendered is None:
            return []
        lines = []
        for number in range(self.size.rows):
            row = rendered.data_buffer[number]
            lines.append("".join(row[column].char for column in range(self.size.columns)))
        return lines

    async def wait_for(self, *words: str) -> str:
        """The screen once all these are on it."""
        return await self.wait_until(lambda text: all(word in text for word in words), str(words))

    async def wait_until(self, condition: Callable[[str], bool], description: str) -> str:
        """The screen once it is so."""
        text = ""
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition(text := "\n".join(self.lines())):  # noqa: ASYNC110  no event for it
                    await asyncio.sleep(POLL_INTERVAL)
        except TimeoutError:
            raise AssertionError(f"not {description}:\n{text}") from None
        return text

    def rendered_text(self) -> str:
        """What the desk last drew, whatever prompt_toolkit made of it."""
        return "\n".join(text_of(line) for line in lines_of(self.dashboard.controller.screen))


def refuse_to_start() -> Callable[[], str | None]:
    """A starter that must not be used."""
    raise AssertionError("nobody asked for a supervisor")


@asynccontextmanager
async def running_dashboard(
    socket: Path,
    start: Callable[[], Callable[[], str | None]] = refuse_to_start,
    depth: ColorDepth = ColorDepth.DEPTH_4_BIT,
) -> AsyncIterator[DashboardTerminal]:
    """A dashboard that runs; it is left at the end, if that has not happened."""
    terminal_output = TerminalOutput()
    with create_pipe_input() as keyboard:
        output = Vt100_Output(
            terminal_output,
            lambda: terminal.size,
            term="xterm",
            default_color_depth=depth,
            enable_cpr=False,
        )
        dashboard = Dashboard(socket, start, UiState(UNICODE), keyboard, output)
        terminal = DashboardTerminal(dashboard, keyboard, terminal_output)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(dashboard.run())
            yield terminal
            dashboard._exit()
            await running
