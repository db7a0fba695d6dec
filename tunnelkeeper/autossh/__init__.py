"""Reads the command lines and the environment of autossh(1) and ssh(1), and knows autossh's rules.

    options    ssh's options: which take a value, and what becomes of each here
    ssh_line   one command line of ssh: its options, host, command and forwards
    reading    how such a line, and one of autossh, is read
    settings   the AUTOSSH_ variables
    plan       what a line is to do, with what `ssh -G` answers for it
    course     when to start again, and when to end
    probe      the loop of -M

All of it is pure: oneshot.autossh asks, connects and runs.
"""
