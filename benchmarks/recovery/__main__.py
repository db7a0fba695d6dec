"""Runs them: `python -m benchmarks.recovery`."""

from __future__ import annotations

import sys

from benchmarks.recovery.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
