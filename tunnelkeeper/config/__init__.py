"""The config file: TOML to configuration, with every problem named by file, line and key."""
