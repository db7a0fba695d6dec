"""The relay: an SSH server that forwards and does nothing else, for boxes behind NAT."""
