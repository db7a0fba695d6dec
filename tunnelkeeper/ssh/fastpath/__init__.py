"""The data path of an established connection, which bypasses the layers of asyncssh that copy."""
