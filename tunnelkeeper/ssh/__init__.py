"""The client side of asyncssh: hosts, logins, connections and channels."""
