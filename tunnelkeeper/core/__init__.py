"""Pure decisions: no clock, no files, no asyncio, no randomness that is not handed in."""
