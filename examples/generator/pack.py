"""Packs readings from standard input, and shows the first two averages once they are there."""

import sys
import time

from kolony import Client, ProcessState

with Client.from_env() as client:
    generator = client.generators.resolve("readings")
    for line in sys.stdin:
        client.generators.pack(generator.generatorid, line.strip())
    while len(done := client.processes.find(ProcessState.SUCCESS, label="readings")) < 2:
        time.sleep(0.1)
    for process in reversed(done):
        print(*process.spec.args, "->", *process.output)
