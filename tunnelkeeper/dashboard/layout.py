"""The prompt_toolkit layout: one control for each part of the screen, and the input line.

The controls only pass on lines that are already rendered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    VSplit,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu

from tunnelkeeper.dashboard.command_parser import completions
from tunnelkeeper.dashboard.ui_state import Typing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding.key_bindings import NotImplementedOrNone
    from prompt_toolkit.mouse_events import MouseEvent

    from tunnelkeeper.dashboard.controller import Controller
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.mouse import MouseHandler
    from tunnelkeeper.dashboard.text_width import Line

PROMPTS = {"filter": " filter: ", "search": " search the log: ", "command": " :"}


class ScreenPart(UIControl):
    """The control of one part of the screen. `lines` returns its current lines."""

    def __init__(
        self, lines: Callable[[], list[Line]], on_mouse: MouseHandler, *, focusable: bool = False
    ) -> None:
        self._lines = lines
        self._on_mouse = on_mouse
        self._focusable = focusable

    def is_focusable(self) -> bool:
        """Return whether this part can have the keyboard focus."""
        return self._focusable

    def create_content(self, width: int, height: int) -> UIContent:
        """Return the lines as they are."""
        lines = self._lines()

        def line(number: int) -> StyleAndTextTuples:
            return cast("StyleAndTextTuples", lines[number])

        return UIContent(line, len(lines), show_cursor=False)

    def mouse_handler(self, mouse_event: MouseEvent) -> NotImplementedOrNone:
        """Pass the event to the handler of this part."""
        self._on_mouse(mouse_event)
        return None


class CommandCompleter(Completer):
    """Completes the command line."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield the completions of the last word."""
        text = document.text_before_cursor
        last = text.rpartition(" ")[2]
        for word in completions(text, self._model):
            yield Completion(word, start_position=-len(last))


def create_layout(
    controller: Controller, input_buffer: Buffer, mouse_handlers: dict[str, MouseHandler]
) -> Layout:
    """Return the layout of the screen. `mouse_handlers` maps each part to its handler."""
    is_typing = Condition(lambda: isinstance(controller.ui_state.mode, Typing))

    def part(name: str, *, focusable: bool = False) -> tuple[Window, Condition]:
        def lines() -> list[Line]:
            part_lines: list[Line] = getattr(controller.screen, name)
            return part_lines

        window = Window(
            ScreenPart(lines, mouse_handlers[name], focusable=focusable),
            height=lambda: Dimension.exact(len(lines())),
        )
        return window, Condition(lambda: bool(lines()))

    body, _ = part("body", focusable=True)
    header, _ = part("header")
    bar, _ = part("bar")
    panes = [ConditionalContainer(*part(name)) for name in ("detail", "log")]

    def prompt() -> StyleAndTextTuples:
        mode = controller.ui_state.mode
        return [("class:prompt", PROMPTS[mode.kind] if isinstance(mode, Typing) else "")]

    input_line = VSplit(
        [
            Window(FormattedTextControl(prompt), dont_extend_width=True, height=1),
            Window(BufferControl(input_buffer), height=1),
        ]
    )
    bottom = ConditionalContainer(input_line, filter=is_typing, alternative_content=bar)
    screen = FloatContainer(
        HSplit([header, body, *panes, bottom]),
        [Float(CompletionsMenu(max_height=10), xcursor=True, ycursor=True)],
    )
    return Layout(screen, focused_element=body)
