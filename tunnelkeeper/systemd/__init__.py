"""systemd: the text of our units, what a service tells its manager, and sockets it is handed."""
