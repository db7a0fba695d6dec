"""Programs that run without a supervisor: `connect`, `check` and the autossh command line."""
