"""Parsing of the command lines and environment of autossh(1) and ssh(1), and autossh's rules.

    options           the options of ssh, and how each is supported
    ssh_command       a parsed command line of ssh: options, host, command and forwards
    command_line      the parsers for command lines of ssh and autossh
    usage             the texts of -V and -h
    environment       the AUTOSSH_ variables
    session_plan      what a command line does, given the output of `ssh -G`
    restart_rules     when to restart, and when to exit
    monitor_protocol  the monitoring loop of -M

This package does no I/O. oneshot.autossh queries ssh, connects and runs.
"""
