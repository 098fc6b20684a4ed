"""Loops that run beside the calls: what time does to processes, crons, generators, executors, counters, and caches."""
