"""Tests of `doctor`: each check with the fault that it finds."""
