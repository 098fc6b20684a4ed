"""The queue in memory: which classes of work wait, who waits for work, and the claims that bring them together."""
