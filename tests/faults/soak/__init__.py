"""Random faults for a chosen time, against ten tunnels of a real supervisor, and who checks them.

    python -m tests.faults.soak --minutes 30 --seed 7

It is no test: it is run by hand (`make soak`), and `tests/faults/test_soak.py` runs it shortly.
"""
