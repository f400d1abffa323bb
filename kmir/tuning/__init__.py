"""A search for settings: what is tried, what the oracle proposes, trials, and what is told."""
