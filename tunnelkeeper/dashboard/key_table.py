"""The table of keys: what the help page lists and dashboard/key_bindings.py binds. Pure data.

Keys of one section with the same meaning share a line of the help page.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """An operation and its keys.

    Attributes:
        names: the keys' names in prompt_toolkit, separated by blanks.
        shown: the same keys on the screen and in docs/dashboard.md.
        meaning: what they do. Empty: the meaning of another key includes it.
    """

    names: str
    shown: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """Keys that apply in one mode.

    Attributes:
        title: its heading on the help page and in docs/dashboard.md.
        about: what the keys apply to, or where. It follows the title on the help page.
    """

    title: str
    about: str
    keys: tuple[Key, ...]


MOVING = Section(
    "Moving",
    "in the table and on pages",
    (
        Key("up k", "Up k", "move by a row, or scroll by a line"),
        Key("down j", "Down j", "move by a row, or scroll by a line"),
        Key("pageup c-b", "PageUp Ctrl-B", "up by a page"),
        Key("pagedown c-f", "PageDown Ctrl-F", "down by a page"),
        Key("home g", "Home g", "to the beginning, to the end"),
        Key("end G", "End G", "to the beginning, to the end"),
    ),
)
TUNNEL = Section(
    "Tunnels",
    "the selected one, all marked ones, or that of the page",
    (
        Key("s", "s", "start"),
        Key("x", "x", "stop"),
        Key("r", "r", "restart"),
        Key("p", "p", "restart gracefully: transfers can finish"),
        Key("w", "w", "retry now, without waiting"),
        Key("A", "A", "answer a question: passphrase, code, host key"),
        Key("y", "y", "copy the address of a forward; again: the next"),
        Key("e", "e", "edit the config file there; reload it if valid"),
        Key("R", "R", "reload the config file"),
        Key("f", "f", "search the log"),
        Key("[", "[", "scroll the log back, forward"),
        Key("]", "]", "scroll the log back, forward"),
        Key("? f1", "? F1", "this help"),
    ),
)
TABLE = Section(
    "In the table",
    "rows, filter, order and log",
    (
        Key("enter", "Enter", "open or close the details; unfold a group"),
        Key("i", "i", "show the tunnel on a page of its own"),
        Key("space", "Space", "fold or unfold the group of the tunnel"),
        Key("m insert", "m Insert", "mark the tunnel"),
        Key("a", "a", "mark all shown tunnels, or none"),
        Key("/", "/", "filter: words, state=up,backoff, group=work"),
        Key("o", "o", "sort by the next column"),
        Key("O", "O", "reverse the order"),
        Key("!", "!", "list the tunnels that have a problem first"),
        Key("l", "l", "switch the log: all, selected tunnel, off"),
        Key(":", ":", "enter a command"),
        Key("escape", "Esc", "clear marks, search, filter; close the details"),
        Key("q c-c c-d", "q Ctrl-C Ctrl-D", "quit; the supervisor keeps running"),
    ),
)
DISCONNECTED = Section(
    "Without a supervisor",
    "while none answers",
    (Key("u", "u", "start one in the background"),),
)
TUNNEL_PAGE = Section(
    "The page of a tunnel",
    "after i",
    (
        Key("escape q i", "Esc q i", "return to the table"),
        Key("c-c c-d", "Ctrl-C Ctrl-D", "quit"),
    ),
)
READING = Section(
    "Other pages",
    "this help, and problems of the config file",
    (
        Key("escape q ? f1 enter", "Esc q ? F1 Enter", "return to the table"),
        Key("space", "Space", "scroll down by a page"),
        Key("c-c c-d", "Ctrl-C Ctrl-D", "quit"),
    ),
)
TYPING = Section(
    "The input line",
    "after / f :",
    (
        Key("enter", "Enter", "run the command, or keep the filter or search"),
        Key("tab", "Tab", "complete the command"),
        Key("escape c-c", "Esc Ctrl-C", "close the line without a change"),
    ),
)
CONFIRMING = Section(
    "Confirmation",
    "before an action on several tunnels, and a reload",
    (
        Key("y Y", "y Y", "yes; any other key: no"),
        Key("<any>", "", ""),
    ),
)
ANSWERING = Section(
    "Questions",
    "after A",
    (
        Key("enter", "Enter", "next empty field; from the last one, send"),
        Key("tab down", "Tab Down", "next field, previous field"),
        Key("s-tab up", "Shift-Tab Up", "next field, previous field"),
        Key("backspace c-h", "Backspace Ctrl-H", "erase a character"),
        Key("c-u", "Ctrl-U", "erase the field"),
        Key("pageup", "PageUp", "scroll the text"),
        Key("pagedown", "PageDown", "scroll the text"),
        Key("c-n", "Ctrl-N", "next question; this one is declined"),
        Key("escape c-c c-d", "Esc Ctrl-C Ctrl-D", "decline"),
    ),
)
EVERYWHERE = Section(
    "Everywhere",
    "in each of these",
    (
        Key("c-z", "Ctrl-Z", "suspend the dashboard"),
        Key("c-l", "Ctrl-L", "draw the screen again"),
    ),
)
SECTIONS = (
    MOVING,
    TUNNEL,
    TABLE,
    DISCONNECTED,
    TUNNEL_PAGE,
    READING,
    TYPING,
    CONFIRMING,
    ANSWERING,
    EVERYWHERE,
)
