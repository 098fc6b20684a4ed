"""Counts the words of a text from standard input."""

import sys

from kolony import Client, Graph

graph = Graph()
split = graph.call("split", sys.stdin.read(), executortype="counter")
merge = graph.call("merge", executortype="counter")
split >> merge

with Client.from_env() as client:
    submitted = client.workflows.submit(graph)
    for workflow in client.workflows.watch(submitted.processgraphid):
        states = [node.state.name.lower() for node in workflow.nodes]
        print(f"{states.count('success')} of {len(states)} nodes have succeeded", file=sys.stderr)
    (words,) = client.processes.get(submitted.processids[-1]).output
    for word, times in words.items():
        print(times, word)
