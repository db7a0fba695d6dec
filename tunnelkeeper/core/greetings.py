"""Recognition of a server that does not speak SSH 2 by the first bytes it sends. It does no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.text import printable

SHOWN_LIMIT = 120
"""Characters shown of what such a server sent."""

_PORT_HINT = "is the port right?"
_CONTROLS = bytes({*range(32), 127} - {*b"\t\r\n"})


@dataclass(frozen=True, slots=True)
class Greeting:
    """What kind of server answered, and what to do about it."""

    server: str
    hint: str = _PORT_HINT


_KNOWN = (
    (
        rb"HTTP/\d|\s*<(?:!doctype|html|head|\?xml)",
        Greeting(
            "an HTTP server",
            "is the port right? If a captive portal answers, log in to this network; "
            "to go through an HTTP proxy, set proxy_command",
        ),
    ),
    (
        rb"[\x14-\x17]\x03[\x00-\x04]",
        Greeting(
            "a TLS server",
            "is the port right? For SSH inside TLS, set "
            'proxy_command = "openssl s_client -quiet -connect %h:%p"',
        ),
    ),
    (
        rb"\x05.?$|\x05\xff|\x00[\x5a-\x5d]",
        Greeting("a SOCKS proxy", "to go through it, set proxy_command"),
    ),
    (rb"220[ -][^\n]*FTP", Greeting("an FTP server")),
    (rb"(?:220|421|554)[ -][^\n]*SMTP", Greeting("an SMTP server")),
    (rb"(?:220|421|500|530|554)[ -]", Greeting("a mail or FTP server")),
    (rb"\+OK", Greeting("a POP3 server")),
    (rb"\* (?:OK|BYE|PREAUTH)", Greeting("an IMAP server")),
    (rb"-(?:ERR|NOAUTH|DENIED)", Greeting("a Redis server")),
    (rb"\xff[\xfb-\xfe]", Greeting("a Telnet server")),
    (rb"RFB \d", Greeting("a VNC server")),
    (rb"@RSYNCD:", Greeting("an rsync server")),
    (rb"AMQP", Greeting("an AMQP server")),
    (rb".{3}\x00\x0a\d+\.", Greeting("a MySQL server")),
    (rb"\x03\x00\x00.", Greeting("a remote desktop server")),
    (
        rb"(?:[^\n]*\n)*?SSH-(?:0|1\.(?!99))",  # 1.99 is SSH 2 as well (RFC 4253 section 5.1)
        Greeting("a server of an old SSH version", "SSH 1 is not supported; update the server"),
    ),
)
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), greeting) for pattern, greeting in _KNOWN
)


def identify(data: bytes) -> Greeting | None:
    """Return the kind of a server by its first bytes, or None if they do not tell."""
    return next((known for pattern, known in _PATTERNS if pattern.match(data)), None)


def explain(failure: Failure, data: bytes) -> Failure:
    """Return the failure of a key exchange, explained by what came instead of a version string.

    A text that is not recognized is part of the message and changes no cause: sshd sends one before
    it closes a connection above MaxStartups.
    """
    if not data.strip():
        return failure
    known, shown = identify(data), _shown(data)
    if known is not None:
        message = f"{known.server} answered: {shown}"
        return Failure(Cause.PROTOCOL, message, failure.hop, known.hint)
    if failure.cause is not Cause.PROXY and data.translate(None, _CONTROLS) != data:
        message = f"the server sent data that is not SSH: {shown}"
        return Failure(Cause.PROTOCOL, message, failure.hop, _PORT_HINT)
    return replace(failure, message=f"{failure.message}; received before that: {shown}")


def _shown(data: bytes) -> str:
    """Return the first line with a text, in quotes."""
    lines = data.decode("utf-8", "backslashreplace").splitlines()
    first = next((line for line in lines if line.strip()), "")
    return f"'{printable(first.strip(), SHOWN_LIMIT)}'"
