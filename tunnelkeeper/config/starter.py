"""The text of a config file that a command creates. It reads and writes nothing."""

from __future__ import annotations

HEADER = """\
# The tunnels that tunnelkeeper keeps up. `tunnelkeeper edit` opens this file and checks it,
# `tunnelkeeper reload` makes a running supervisor read it.
"""
"""The comment at the top of a file that `add` creates."""
