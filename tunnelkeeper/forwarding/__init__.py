"""Listeners, the pump between a socket and a channel, and SOCKS."""
