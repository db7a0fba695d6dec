"""SSH authentication: host keys and known_hosts, keys to offer, and algorithms to accept."""
