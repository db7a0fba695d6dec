"""The random art of a key: its fingerprint as a picture, as `ssh-keygen -lv` prints it.

A walk over a field follows the bits of the hash, two per step ("drunken bishop"; sshkey_art in
OpenSSH's sshkey.c). People notice a changed picture sooner than a changed fingerprint.
"""

from __future__ import annotations

WIDTH, HEIGHT = 17, 9
"""FLDSIZE_X and FLDSIZE_Y of OpenSSH."""

MARKS = " .o+=*BOX@%&#/^"
"""How often a place was visited, from never to the maximum."""

START, END = "S", "E"


def random_art(digest: bytes, title: str, hash_name: str = "SHA256") -> str:
    """Return the picture of a hash, 11 lines without a final newline.

    title: of the upper border, such as `ED25519 256`; see `key_title`.
    """
    visits = [[0] * WIDTH for _ in range(HEIGHT)]
    x, y = WIDTH // 2, HEIGHT // 2
    for byte in digest:
        for shift in (0, 2, 4, 6):
            bits = byte >> shift
            x = min(max(x + (1 if bits & 1 else -1), 0), WIDTH - 1)
            y = min(max(y + (1 if bits & 2 else -1), 0), HEIGHT - 1)
            visits[y][x] = min(visits[y][x] + 1, len(MARKS) - 1)
    field = [[MARKS[count] for count in row] for row in visits]
    field[HEIGHT // 2][WIDTH // 2] = START
    field[y][x] = END
    rows = ["|" + "".join(row) + "|" for row in field]
    return "\n".join([_border(title), *rows, _border(hash_name)])


def key_title(kind: str, bits: int) -> str:
    """Return the title for a key, without its size if that does not fit. kind: as `RSA`."""
    title = f"{kind} {bits}"
    return title if len(title) + 2 <= WIDTH else kind


def _border(title: str) -> str:
    text = f"[{title}]"
    left = (WIDTH - len(text)) // 2
    return "+" + "-" * left + text + "-" * (WIDTH - left - len(text)) + "+"
