"""The full-screen dashboard: pure model and rendering, shown by a thin prompt_toolkit layer."""
