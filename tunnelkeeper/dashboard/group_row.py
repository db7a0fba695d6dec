"""Renders a folded group: its row in the table, and the pane that lists its problems. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.filter_sort import NO_PROBLEM, URGENCY, problem_rank
from tunnelkeeper.dashboard.glyphs import pane_title, state_line
from tunnelkeeper.dashboard.table_rows import failure_forms
from tunnelkeeper.dashboard.text_width import Line, align_left, fit_line
from tunnelkeeper.presentation.text_layout import cell_width

if TYPE_CHECKING:
    from tunnelkeeper.dashboard.folding import FoldedGroup
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import UiState

MAX_PROBLEMS = 6
"""Tunnels with a problem that the pane lists."""


def render_group_row(group: FoldedGroup, ui_state: UiState) -> Line:
    """Return the row of a folded group: its name, and how many of its tunnels are in each state."""
    glyphs = ui_state.glyphs
    is_marked = all(tunnel.name in ui_state.marked for tunnel in group.tunnels)
    counts = Counter(tunnel.state for tunnel in group.tunnels)
    line: Line = [
        ("class:marked", glyphs.marked if is_marked else " "),
        ("class:title", glyphs.folded),
        ("", " "),
        ("class:name", glyphs.printable(group.name)),
        ("class:quiet", f"  {_count_tunnels(len(group.tunnels))}"),
    ]
    for state in URGENCY:
        if counts[state]:
            line += [("", "  "), *state_line(state, f"{counts[state]} {state}", glyphs)]
    return line


def render_group_detail(
    group: FoldedGroup, model: Model, ui_state: UiState, cells: int
) -> list[Line]:
    """Return the pane of a folded group, with its title as the first line."""
    glyphs = ui_state.glyphs
    ranked = sorted(group.tunnels, key=lambda tunnel: problem_rank(tunnel, model))
    problems = [tunnel for tunnel in ranked if problem_rank(tunnel, model) < NO_PROBLEM]
    title: Line = [("class:title", glyphs.printable(group.name))]
    title.append(("class:quiet", f"  {_count_tunnels(len(problems))} with a problem"))
    lines = [pane_title(title, [("class:quiet", "Space unfolds")], cells, glyphs)]
    shown = problems[:MAX_PROBLEMS]
    names = [glyphs.printable(tunnel.name) for tunnel in shown]
    width = min(max(map(cell_width, names), default=0), max(8, cells // 2))
    for tunnel, name in zip(shown, names, strict=True):
        style = f"class:state.{tunnel.state}"
        failure = failure_forms(tunnel, model.awaited_by(tunnel.name))[-1]
        fragments: Line = [
            ("", " "),
            (style, f"{glyphs.states[tunnel.state]} "),
            ("class:name", align_left(name, width, glyphs.ellipsis)),
            (f"class:failure.{tunnel.state}", f"  {glyphs.printable(failure)}"),
        ]
        lines.append(fit_line(fragments, cells, glyphs.ellipsis))
    if len(problems) > len(shown):
        lines.append(fit_line([("class:quiet", f" +{len(problems) - len(shown)}")], cells, ""))
    return lines


def _count_tunnels(count: int) -> str:
    return f"{count} tunnel" if count == 1 else f"{count} tunnels"
