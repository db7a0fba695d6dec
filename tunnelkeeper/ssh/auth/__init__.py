"""Login: host keys and known_hosts, the keys to offer, and the algorithms to accept."""
