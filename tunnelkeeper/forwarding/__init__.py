"""Forwarded connections: the pump between two endpoints, the gate, SOCKS and health probes."""
