"""Conversion of existing ssh and autossh setups into tunnels of the config file.

    source_commands     what is found: ssh and autossh commands, or why a line is not importable
    find_ssh_commands   the ssh command that a wrapper runs      sh_parser    sh(1) command lines
    systemd_service     a unit's ExecStart=; unit_text, unit_quoting, specifiers and
                        environment_file parse its files
    crontab             @reboot lines                            ssh_config_names   host names
    convert             a command and the answers of `ssh -G` -> a table; host_table, notes
    deduplicate         unique names and ports                   toml_text   TOML text
    readers, ssh_config_files, specifier_values, ssh_g_resolver, config_file, found_setups
                                                                 I/O: files, programs, `ssh -G`

Every module except those in the last row is pure.
"""
