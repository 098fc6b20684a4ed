"""The average of the readings that a generator gathered."""

from kolony import Worker

worker = Worker(type="meter")


@worker.function
def average(*readings: str) -> float:
    return sum(map(float, readings)) / len(readings)


worker.run()
