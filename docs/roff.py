"""Markdown, as this project's pages use it, in the language of man pages (groff_man(7)).

A table becomes a list of its rows, because its cells are too long for the columns of a terminal.
It reads no files. Text with any meaning to roff is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Link = Callable[[str, str], str]

BODY_COLUMN = "Meaning"
"""The column of a table whose text needs no header in front of it."""

_INDENT = 4
_NO_HYPHENS = "\\%"
"""At the start of a word, this keeps it on one line (groff(7))."""

_ESCAPES = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
    '"': "\\(dq",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page. level: of its heading, 0 for the part above all headings."""

    level: int
    title: str
    nodes: tuple[SyntaxTreeNode, ...]


def parse_sections(page: str) -> list[Section]:
    """Split a page at its headings."""
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(page))
    found = [Section(0, "", ())]
    for node in tree.children:
        if node.type == "heading":
            title = "".join(_plain(child) for child in node.children)
            found.append(Section(int(node.tag.removeprefix("h")), title, ()))
        else:
            last = found.pop()
            found.append(Section(last.level, last.title, (*last.nodes, node)))
    return found


@dataclass(frozen=True, slots=True)
class Roff:
    """A renderer. link: returns the Markdown that replaces a link, from its text and target."""

    link: Link

    def blocks(self, nodes: Iterable[SyntaxTreeNode]) -> Iterator[str]:
        """Yield the lines of blocks such as paragraphs, lists and tables."""
        for node in nodes:
            match node.type:
                case "paragraph":
                    yield ".PP"
                    yield from self._text(node)
                case "fence" | "code_block":
                    yield from _code(node.content)
                case "bullet_list" | "ordered_list":
                    yield from self._list(node)
                case "table":
                    yield from self._table(node)
                case "html_block":  # a comment
                    pass
                case other:
                    raise ValueError(f"no man page has a {other}")

    def inline(self, nodes: Iterable[SyntaxTreeNode]) -> str:
        """Return text with its fonts. Line breaks of the source stay."""
        return "".join(map(self._inline, nodes))

    def _inline(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "text" | "text_special":
                return escaped(node.content, is_prose=True)
            case "softbreak" | "hardbreak":
                return "\n"
            case "code_inline":
                # A word of code with a hyphen at the end of a line could not be copied.
                words = [f"{_NO_HYPHENS}{escaped(word)}" for word in node.content.split()]
                return f"\\fB{' '.join(words)}\\fP"
            case "strong":
                return f"\\fB{self.inline(node.children)}\\fP"
            case "em":
                return f"\\fI{self.inline(node.children)}\\fP"
            case "link":
                # The text of a link may be code, whose font must not end within another.
                text = self.inline(node.children)
                return self.link(text, str(node.attrs["href"]))
            case "inline":
                return self.inline(node.children)
            case "html_inline":
                return ""
        raise ValueError(f"no man page has a {node.type}")

    def _text(self, node: SyntaxTreeNode) -> list[str]:
        return lines_of(self.inline(node.children))

    def _list(self, node: SyntaxTreeNode) -> Iterator[str]:
        for number, item in enumerate(node.children, 1):
            is_ordered = node.type == "ordered_list"
            yield f'.IP "{number}." {_INDENT}' if is_ordered else f".IP \\(bu {_INDENT - 2}"
            first, *others = item.children
            yield from self._text(first)
            if others:
                yield f".RS {_INDENT}"
                yield from self.blocks(others)
                yield ".RE"

    def _table(self, node: SyntaxTreeNode) -> Iterator[str]:
        head, *bodies = node.children
        headers = [_plain(cell) for cell in head.children[0].children]
        for body in bodies:
            for row in body.children:
                cells = [" ".join(lines_of(self.inline(cell.children))) for cell in row.children]
                yield ".TP"
                yield cells[0] or "\\&"
                yield from lines_of(_row_text(headers, cells)) or [".br"]


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; none is taken for a request."""
    lines = (" ".join(map(_unbroken, line.split())) for line in text.splitlines())
    return [f"\\&{line}" if line.startswith((".", "'")) else line for line in lines if line]


def _unbroken(word: str) -> str:
    """Return a word with the mark against hyphenation in front; elsewhere it would invite one."""
    return f"{_NO_HYPHENS}{word.replace(_NO_HYPHENS, '')}" if _NO_HYPHENS in word else word


def escaped(text: str, *, is_prose: bool = False) -> str:
    """Return a text without special characters. is_prose: its hyphens are those of words."""
    return "".join(_escape(character, is_prose) for character in text)


def heading(macro: str, title: str) -> str:
    """Return the line of a heading, .SH or .SS."""
    return f'{macro} "{escaped(title)}"'


def _escape(character: str, is_prose: bool) -> str:
    if is_prose and character == "-":
        return character
    if not character.isascii():
        return f"\\[u{ord(character):04X}]"
    return _ESCAPES.get(character, character)


def _code(text: str) -> Iterator[str]:
    yield from (".PP", f".RS {_INDENT}", ".EX")
    for line in text.rstrip("\n").split("\n"):
        shown = escaped(line)
        yield f"\\&{shown}" if shown.startswith((".", "\\(aq")) or not shown else shown
    yield from (".EE", ".RE")


def _row_text(headers: list[str], cells: list[str]) -> str:
    """Return the text of a row: its meaning, and then what else the table says of it."""
    others = [(header, cell) for header, cell in zip(headers[1:], cells[1:], strict=True) if cell]
    if len(headers) == 2:
        return others[0][1] if others else ""
    body = [_sentence(cell) for header, cell in others if header == BODY_COLUMN]
    body += [
        f"\\fI{escaped(header)}:\\fP {_sentence(cell)}"
        for header, cell in others
        if header != BODY_COLUMN
    ]
    return "\n".join(body)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _plain(node: SyntaxTreeNode) -> str:
    if node.children:
        return "".join(map(_plain, node.children))
    return node.content
