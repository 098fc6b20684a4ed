"""Metrics of the server, in the form of Prometheus.

Labels are bounded: payload types that are served, status codes, states, reasons. Never ids.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SLOW = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 86_400)


class Metrics:
    """The server's counters, and gauges that are set from counters of the database."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rpc_seconds = Histogram(
            "colonies_rpc_seconds",
            "Time from the request to its reply.",
            ("method", "code"),
            buckets=_FAST,
            registry=self.registry,
        )
        self.signature_rejects = Counter(
            "colonies_signature_rejects_total",
            "Requests whose signature or freshness was refused.",
            ("reason",),
            registry=self.registry,
        )
        self.submitted = Counter("colonies_process_submitted_total", "Processes submitted.", registry=self.registry)
        self.closed = Counter(
            "colonies_process_closed_total", "Processes that ended.", ("result",), registry=self.registry
        )
        self.retries = Counter(
            "colonies_process_retries_total",
            "Processes queued again after they ran too long.",
            registry=self.registry,
        )
        self.queue_wait_seconds = Histogram(
            "colonies_process_queue_wait_seconds",
            "Time from submission to the start of a process that ended.",
            buckets=_SLOW,
            registry=self.registry,
        )
        self.run_seconds = Histogram(
            "colonies_process_run_seconds",
            "Time from the start to the end of a process.",
            buckets=_SLOW,
            registry=self.registry,
        )
        self.longpolls = Gauge("colonies_longpoll_open", "Assign calls that wait.", registry=self.registry)
        self.processes = Gauge("colonies_processes", "Processes by state.", ("colony", "state"), registry=self.registry)
        self.oldest_waiting = Gauge(
            "colonies_oldest_waiting_seconds",
            "Age of the longest waiting process.",
            ("colony",),
            registry=self.registry,
        )
        self.executor_last_seen = Gauge(
            "colonies_executor_last_seen_seconds",
            "Silence of the longest silent approved executor.",
            ("colony", "type"),
            registry=self.registry,
        )
        self.pool = Gauge(
            "colonies_db_pool_connections", "Connections of the pool.", ("state",), registry=self.registry
        )
        self.build_info = Gauge("colonies_build_info", "Version of the server.", ("version",), registry=self.registry)
        self._rpc: dict[tuple[str, int], Histogram] = {}

    def rpc(self, method: str, status: int, seconds: float) -> None:
        """Note a call: its payload type (empty when it is none of ours), its status, and how long it took."""
        histogram = self._rpc.get((method, status))
        if histogram is None:
            histogram = self._rpc[method, status] = self.rpc_seconds.labels(method or "unknown", str(status))
        histogram.observe(seconds)
