"""Metrics of the server, in the form of Prometheus.

Labels are bounded: payload types that are served, status codes, states, reasons, colonies, executor types. Never ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and nobody reads them

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SLOW = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 86_400)


class Measured(Collector):
    """Gauges that are read from the counters of the database together, and are shown together."""

    def __init__(self) -> None:
        self._families: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """What was measured last."""
        return self._families

    def describe(self) -> Iterable[Metric]:
        """Nothing: what will be measured is not known yet."""
        return ()

    def show(
        self,
        *,
        processes: Mapping[tuple[str, str], int],
        workflows: Mapping[tuple[str, str], int],
        oldest_waiting: Mapping[str, float],
        last_seen: Mapping[tuple[str, str], float],
        cron_lag: float,
        generator_pending: Mapping[str, int],
    ) -> None:
        """Take over a measurement.

        Processes and workflows by colony and state, the age of what waits longest by colony, the silence of the
        executor that is silent longest by colony and type, how late the latest cron is, and the arguments that wait
        in generators by colony.
        """
        counts = GaugeMetricFamily("colonies_processes", "Processes by state.", labels=("colony", "state"))
        for labels, count in processes.items():
            counts.add_metric(labels, count)
        graphs = GaugeMetricFamily("colonies_workflows", "Workflows by state.", labels=("colony", "state"))
        for labels, count in workflows.items():
            graphs.add_metric(labels, count)
        ages = GaugeMetricFamily(
            "colonies_oldest_waiting_seconds", "Age of the longest waiting process.", labels=("colony",)
        )
        for colony, age in oldest_waiting.items():
            ages.add_metric((colony,), age)
        silences = GaugeMetricFamily(
            "colonies_executor_last_seen_seconds",
            "Silence of the longest silent approved executor.",
            labels=("colony", "type"),
        )
        for labels, silence in last_seen.items():
            silences.add_metric(labels, silence)
        lag = GaugeMetricFamily(
            "colonies_cron_lag_seconds", "How long the longest overdue cron is overdue.", value=cron_lag
        )
        pending = GaugeMetricFamily(
            "colonies_generator_pending", "Arguments that wait in generators.", labels=("colony",)
        )
        for colony, arguments in generator_pending.items():
            pending.add_metric((colony,), arguments)
        self._families = (counts, graphs, ages, silences, lag, pending)


class _Pool(Collector):
    """The pool of connections, looked at when it is asked about."""

    _GAUGES = {
        "size": ("pool_size", "Connections of the pool."),
        "max": ("pool_max", "Most connections that the pool may have."),
        "available": ("pool_available", "Connections of the pool that nobody uses."),
        "waiting": ("requests_waiting", "Calls that wait for a connection of the pool."),
    }
    _COUNTERS = {
        "requests": ("requests_num", "Connections asked of the pool."),
        "errors": ("requests_errors", "Connections asked of the pool that it could not give in time."),
        "lost": ("connections_lost", "Connections of the pool that were found broken."),
    }

    def __init__(self, statistics: Callable[[], Mapping[str, int]]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        """The state of the pool."""
        found = self._statistics()
        for name, (key, text) in self._GAUGES.items():
            yield GaugeMetricFamily(f"colonies_db_pool_{name}", text, value=found.get(key, 0))
        for name, (key, text) in self._COUNTERS.items():
            yield CounterMetricFamily(f"colonies_db_pool_{name}", text, value=found.get(key, 0))


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
        self.cron_runs = Counter(
            "colonies_cron_runs_total",
            "Runs of crons, by whether a workflow started.",
            ("result",),
            registry=self.registry,
        )
        self.generator_runs = Counter(
            "colonies_generator_runs_total",
            "Runs of generators, by whether a workflow started.",
            ("result",),
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
        self.assign_seconds = Histogram(
            "colonies_assign_seconds",
            "Time an assign call took until it had a process.",
            buckets=_FAST,
            registry=self.registry,
        )
        self.signals = Counter(
            "colonies_signals_total",
            "Signals sent to other servers, and received from them.",
            ("kind",),
            registry=self.registry,
        )
        self.signal_reconnects = Counter(
            "colonies_signal_reconnects_total",
            "Connections for signals that broke or fell silent.",
            registry=self.registry,
        )
        self.longpolls = Gauge("colonies_longpoll_open", "Assign calls that wait.", registry=self.registry)
        self.leader = Gauge("colonies_leader", "Whether this server leads its cluster.", registry=self.registry)
        self.measured = Measured()
        self.registry.register(self.measured)
        self.build_info = Gauge("colonies_build_info", "Version of the server.", ("version",), registry=self.registry)
        self._rpc: dict[tuple[str, int], Histogram] = {}

    def follow_pool(self, statistics: Callable[[], Mapping[str, int]]) -> None:
        """Show what psycopg counts about a pool of connections."""
        self.registry.register(_Pool(statistics))

    def rpc(self, method: str, status: int, seconds: float) -> None:
        """Note a call: its payload type (empty when it is none of ours), its status, and how long it took."""
        histogram = self._rpc.get((method, status))
        if histogram is None:
            histogram = self._rpc[method, status] = self.rpc_seconds.labels(method or "unknown", str(status))
        histogram.observe(seconds)
