"""python -m tests.fuzz."""

from __future__ import annotations

import logging
import sys

from tests.fuzz.main import main

if __name__ == "__main__":
    logging.disable()  # the warnings of parsers about random inputs would hide a failure
    sys.exit(main(sys.argv[1:]))
