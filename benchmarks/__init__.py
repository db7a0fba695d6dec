"""Measures of tunnelkeeper against ssh and autossh, side by side in one run on one machine."""
