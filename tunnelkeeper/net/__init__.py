"""Plain sockets: listening, connecting, resolving, file descriptors. No SSH and no tunnels."""
