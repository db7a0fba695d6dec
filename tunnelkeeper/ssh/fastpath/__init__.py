"""The data path of an established connection, past the layers of asyncssh that copy data."""
