"""Turns old set-ups into tunnels of the config file.

    old_lines    what is found: command lines of ssh and autossh, or why there is none
    commands     which ssh a command comes down to    shell         a line of sh(1)
    services     a unit and its ExecStart=            unit_text, unit_words, specifiers,
                                                      environment_file: how its files are written
    crontab      @reboot lines                        ssh_config_names   hosts worth asking for
    translation  a line and what `ssh -G` says of it -> a table; host_table, remarks, names
    collection   several tables that fit together     toml_text, edits   tables as text
    sources, machine, asking, config_file             the edges: files, programs, `ssh -G`

All but the edges is pure.
"""
