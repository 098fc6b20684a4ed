"""The diamond built in Python: the same workflow as in workflow.json."""

from kolony import Client, Graph

graph = Graph()
measure = graph.call("measure", executortype="thermometer")
lowest = graph.call("lowest", executortype="thermometer")
highest = graph.call("highest", executortype="thermometer")
report = graph.call("report", executortype="thermometer")
measure >> [lowest, highest] >> report

with Client.from_env() as client:
    submitted = client.workflows.submit(graph)
    client.workflows.wait(submitted.processgraphid, timeout=30)
    last = client.processes.get(submitted.processids[-1])
    print(*last.output)
