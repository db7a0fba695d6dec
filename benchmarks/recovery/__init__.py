"""How soon data flows again after an outage: tunnelkeeper and autossh, side by side."""
