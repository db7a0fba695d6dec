"""The autossh program: one tunnel for one command line, without a supervisor or ssh process.

main            from the arguments to the exit code; -f and the pid file
resolve         the command line, resolved with `ssh -G`
supervise       the tunnel, restarted and ended by autossh's rules
remote_session  what runs over each connection: a command, or -W
terminal        the local terminal of a remote command
monitor_loop    the monitoring loop of -M
monitor_ports   its local ports, held while the program runs
log             autossh's log, and the messages of ssh
"""
