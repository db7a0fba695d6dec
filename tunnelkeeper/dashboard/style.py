"""The colours of the dashboard."""

from __future__ import annotations

from prompt_toolkit.styles import Style

# Of the 256 colours, these have a contrast of 3.5 or more to white, black and dark grey alike. The
# yellow and the green of many palettes cannot be read on white. `status` has the same colours.
_COLOURS_OF_256 = {
    "green": "#008700",
    "orange": "#d75f00",
    "cyan": "#0087af",
    "red": "#ff0000",
    "magenta": "#af5faf",
}
_COLOURS_OF_16 = {
    "green": "ansigreen",
    "orange": "ansiyellow",
    "cyan": "ansicyan",
    "red": "ansired",
    "magenta": "ansimagenta",
}

_RULES = {
    "title": "bold",
    "quiet": "dim",
    "rule": "dim",
    "label": "dim",
    "heading": "dim",
    "heading.sorted": "nodim bold",
    "name": "bold",
    "host": "",
    "forwards": "",
    "number": "",
    "curve": "green",
    "countdown": "",
    "hint": "cyan",
    "hint.label": "cyan bold",
    "marked": "magenta bold",
    "selected": "reverse nodim",
    "state.up": "green",
    "state.degraded": "orange",
    "state.connecting": "cyan",
    "state.stopping": "cyan",
    "state.backoff": "orange",
    "state.blocked": "red bold",
    "state.stopped": "dim",
    "word.up": "",
    "word.degraded": "orange bold",
    "word.connecting": "",
    "word.stopping": "",
    "word.backoff": "orange bold",
    "word.blocked": "red bold",
    "word.stopped": "dim",
    "failure.up": "",
    "failure.degraded": "orange",
    "failure.backoff": "orange",
    "failure.blocked": "red",
    "failure.connecting": "",
    "failure.stopped": "dim",
    "failure.stopping": "dim",
    "log.debug": "dim",
    "log.info": "",
    "log.warning": "",
    "log.error": "",
    "log.mark.warning": "orange bold",
    "log.mark.error": "red bold",
    "search": "magenta bold",
    "key": "bold",
    "question": "bold reverse",
    "frame": "orange",
    "art": "",
    "typed": "underline",
    "cursor": "reverse",
    "message.info": "bold",
    "message.error": "red bold",
    "gone": "red bold",
    "faded": "dim",
    "notice": "bold",
    "prompt": "bold",
    "completion-menu": "noinherit reverse",
    "completion-menu.completion": "noinherit reverse",
    "completion-menu.completion.current": "noinherit bold",
    "completion-menu.meta.completion": "noinherit reverse",
    "completion-menu.meta.completion.current": "noinherit bold",
    "scrollbar.background": "noinherit reverse",
    "scrollbar.button": "noinherit",
}


def make_style(*, has_256_colours: bool) -> Style:
    """Return the style for a terminal."""
    colours = _COLOURS_OF_256 if has_256_colours else _COLOURS_OF_16
    return Style.from_dict(
        {
            name: " ".join(colours.get(word, word) for word in rule.split())
            for name, rule in _RULES.items()
        }
    )
