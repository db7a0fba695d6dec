"""A demo on loopback: two relays, a web server and every kind of tunnel, with temporary keys."""
