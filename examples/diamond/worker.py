"""The functions of the diamond: each gets what the ones before it returned."""

from kolony import Worker, current_process

worker = Worker(type="thermometer", concurrency=2)


@worker.function
def measure() -> list[float]:
    return [21.5, 19.0, 23.25]


@worker.function
def lowest() -> float:
    return min(current_process().input)


@worker.function
def highest() -> float:
    return max(current_process().input)


@worker.function
def report() -> str:
    low, high = current_process().input
    return f"between {low:g} and {high:g} degrees"


worker.run()
