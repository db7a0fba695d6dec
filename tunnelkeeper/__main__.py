"""Run the command line as `python -m tunnelkeeper`."""

from tunnelkeeper.cli.main import main

main()
