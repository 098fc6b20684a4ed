"""The worker: makes an executor of Python functions."""

from kolony.sdk.worker.running import ProcessLogHandler, RunningProcess, current_process
from kolony.sdk.worker.worker import Worker

__all__ = ["ProcessLogHandler", "RunningProcess", "Worker", "current_process"]
