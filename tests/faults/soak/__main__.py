"""python -m tests.faults.soak."""

from __future__ import annotations

import sys

from tests.faults.soak.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
