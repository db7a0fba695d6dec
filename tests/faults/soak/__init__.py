"""Random faults for a chosen time against ten tunnels of a real supervisor, with constant checks.

    python -m tests.faults.soak --minutes 30 --seed 7

It is run by hand (`make soak`); `tests/faults/test_soak.py` runs it for half a minute.
"""
