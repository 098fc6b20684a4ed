"""Adds a cron, and runs it three times by hand."""

from kolony import Client, Cron, Graph

graph = Graph()
graph.call("tally", executortype="clock")

with Client.from_env() as client:
    cron = client.crons.add(Cron(name="yearly", cronexpression="@yearly"), graph)
    for _ in range(3):
        ran = client.crons.run(cron.cronid)
        client.workflows.wait(ran.prevprocessgraphid, timeout=30)
        (processid,) = client.workflows.get(ran.prevprocessgraphid).processids
        print(*client.processes.get(processid).output)
