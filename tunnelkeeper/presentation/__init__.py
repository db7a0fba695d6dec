"""How people are told what snapshots say: amounts, times, forwards, reasons. Pure; no colours."""
