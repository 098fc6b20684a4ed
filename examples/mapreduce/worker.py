"""Counting words: `split` adds a `count` for each line while it runs, and `merge` gets what all of them found."""

from collections import Counter

from kolony import Worker, current_process

worker = Worker(type="counter", concurrency=4)


@worker.function
def split(text: str) -> None:
    process = current_process()
    (merge,) = process.children
    for line in text.splitlines():
        process.add_child("count", line, childprocessid=merge)


@worker.function
def count(line: str) -> dict[str, int]:
    return Counter(line.split())


@worker.function
def merge() -> dict[str, int]:
    return sum(map(Counter, current_process().input), Counter())


worker.run()
