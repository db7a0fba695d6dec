"""The full-screen view: a pure view model, and a thin prompt_toolkit window in front of it."""
