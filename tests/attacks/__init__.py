"""Attacks on the relay and the supervisor, each bounded in time and count."""
