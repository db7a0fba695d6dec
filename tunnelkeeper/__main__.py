"""Run the command line as `python -m tunnelkeeper`."""

from tunnelkeeper.entry import main

main()
