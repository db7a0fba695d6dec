"""Runs a command line of autossh: one tunnel on the library's own core, no supervisor and no ssh.

main       from the arguments to the exit code
order      what is to be done, once `ssh -G` was asked
keeping    the tunnel, started again and ended by autossh's rules
errand     what runs over each connection: a program, or -W
terminal   the terminal that a program is shown on
loop       the loop of -M
log        autossh's log, and what ssh would have said
background -f and the pid file
"""
