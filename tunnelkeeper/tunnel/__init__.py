"""The runtime of one tunnel: runner, sessions, forwards, checks, hooks and log."""
