"""Pure decisions: no clock, files or asyncio, and no randomness except a given seed."""
