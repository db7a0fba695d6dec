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

from tests.dashboard.boards import lines_of, text_of
from tunnelkeeper.dashboard.app import Dashboard
from tunnelkeeper.dashboard.glyphs import UNICODE
from tunnelkeeper.dashboard.ui_state import UiState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from prompt_toolkit.input import PipeInput

DEADLINE = 30.0
LOOK_AGAIN = 0.01


class Paper(io.StringIO):
    """What a terminal is written to."""

    encoding = "utf-8"

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def isatty(self) -> bool:
        return True


@dataclass
class Screen:
    """One dashboard, its keys and its screen. size: may be changed, as a window's."""

    dashboard: Dashboard
    keyboard: PipeInput
    paper: Paper
    size: Size = field(default_factory=lambda: Size(rows=35, columns=120))

    def press(self, keys: str) -> None:
        """Type what a terminal would send for it."""
        self.keyboard.send_text(keys)

    def shown(self) -> list[str]:
        """The lines that were drawn last, by the picture; and the typed line's own text."""
        rendered = self.dashboard.app.renderer.last_rendered_screen
        if rendered is None:
            return []
        lines = []
        for number in range(self.size.rows):
            row = rendered.data_buffer[number]
            lines.append("".join(row[column].char for column in range(self.size.columns)))
        return lines

    async def shows(self, *words: str) -> str:
        """The screen once all these are on it."""
        return await self.becomes(lambda text: all(word in text for word in words), str(words))

    async def becomes(self, so: Callable[[str], bool], what: str) -> str:
        """The screen once it is so."""
        text = ""
        try:
            async with asyncio.timeout(DEADLINE):
                while not so(text := "\n".join(self.shown())):  # noqa: ASYNC110  no event for it
                    await asyncio.sleep(LOOK_AGAIN)
        except TimeoutError:
            raise AssertionError(f"not {what}:\n{text}") from None
        return text

    def picture(self) -> str:
        """What the desk last drew, whatever prompt_toolkit made of it."""
        return "\n".join(text_of(line) for line in lines_of(self.dashboard.desk.screen))


def nobody_starts() -> Callable[[], str | None]:
    """A starter that must not be used."""
    raise AssertionError("nobody asked for a supervisor")


@asynccontextmanager
async def a_screen(
    socket: Path,
    start: Callable[[], Callable[[], str | None]] = nobody_starts,
    depth: ColorDepth = ColorDepth.DEPTH_4_BIT,
) -> AsyncIterator[Screen]:
    """A dashboard that runs; it is left at the end, if that has not happened."""
    paper = Paper()
    with create_pipe_input() as keyboard:
        output = Vt100_Output(
            paper, lambda: screen.size, term="xterm", default_color_depth=depth, enable_cpr=False
        )
        dashboard = Dashboard(socket, start, UiState(UNICODE), keyboard, output)
        screen = Screen(dashboard, keyboard, paper)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(dashboard.run())
            yield screen
            dashboard._leave()
            await running
