"""The supervisor: one runner per tunnel, the keeper of them all, signals and start-up."""
