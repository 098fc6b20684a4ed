"""Loops that run beside the calls: what time does to processes, executors, counters, and caches."""
