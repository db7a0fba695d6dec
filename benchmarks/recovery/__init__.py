"""The recovery times of tunnelkeeper and autossh after an outage."""
