"""Fuzzing of every parser that reads what another program, user or machine wrote."""
