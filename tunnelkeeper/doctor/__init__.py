"""`tunnelkeeper doctor`: checks of this machine and of everything that its tunnels need."""
