"""Counts runs of a cron: what the last run returned is the input of the next."""

from kolony import Worker, current_process

worker = Worker(type="clock")


@worker.function
def tally() -> int:
    (before,) = current_process().input or (0,)
    return before + 1


worker.run()
