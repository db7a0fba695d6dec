"""The supervisor process: start-up, signals, the registry of tunnels and the control API."""
