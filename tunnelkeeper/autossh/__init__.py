"""Reads the command lines and the environment of autossh(1) and ssh(1); pure, it runs nothing.

    options    ssh's options: which take a value, and what becomes of each here
    ssh_line   one command line of ssh
    line       one of autossh: ssh's, with -M, -f and -V
    settings   the AUTOSSH_ variables

What a host's configuration adds to a line is not known here: that is asked of `ssh -G`.
"""
