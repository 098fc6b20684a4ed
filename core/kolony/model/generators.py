"""Generators: workflows that start when enough arguments were packed, or after a while with fewer."""

from __future__ import annotations

from datetime import datetime

from kolony.model.base import NO_TIME, Int64, Model


class Generator(Model):
    """A workflow specification and how many packed arguments start it.

    ``workflowspec`` is JSON text; ``trigger`` arguments become the arguments of every root. With a positive
    ``timeout`` (seconds) fewer do, once it has passed since the last run, or since the first pack ever.
    ``queuesize`` (arguments that wait) and ``checkerperiod`` (milliseconds) are told by `get` only.
    """

    generatorid: str = ""
    initiatorid: str = ""
    initiatorname: str = ""
    colonyname: str = ""
    name: str = ""
    workflowspec: str = ""
    trigger: Int64 = 0
    timeout: Int64 = 0
    firstpack: datetime = NO_TIME
    lastrun: datetime = NO_TIME
    queuesize: Int64 = 0
    checkerperiod: Int64 = 0
