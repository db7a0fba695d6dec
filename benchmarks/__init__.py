"""Benchmarks of tunnelkeeper against ssh and autossh, in one run on one machine."""
