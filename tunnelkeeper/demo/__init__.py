"""A try-out on loopback: a relay, a web server, and a tunnel of every kind, with throwaway keys."""
