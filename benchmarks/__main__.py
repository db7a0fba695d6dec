"""Runs the benchmarks: `python -m benchmarks`."""

from __future__ import annotations

import sys

from benchmarks.main import main

sys.exit(main(sys.argv[1:]))
