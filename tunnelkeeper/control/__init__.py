"""The control protocol: messages, and the server and client of the Unix socket."""
