"""The engine of one tunnel: its runner, sessions, forwards, checks, hooks and log."""
