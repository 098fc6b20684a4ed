"""The end of a run: what was done to the cluster, and what it did wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from chaos.record import Invariant, Record

ENOUGH_CALLS = 20_000
ENOUGH_FAULTS = 5
_EXAMPLES = 12


@dataclass(frozen=True)
class Report:
    """What a run showed."""

    seed: int
    seconds: float
    record: Record
    expected: frozenset[str]
    """The faults that count."""

    @property
    def acknowledged(self) -> int:
        """Calls that were acknowledged."""
        return self.record.acknowledged.total()

    @property
    def faults(self) -> Counter[str]:
        """How often each fault happened."""
        return Counter(fault.name for fault in self.record.faults)

    def broken(self, invariant: Invariant) -> int:
        """How often an invariant was broken."""
        return len(self.record.broken.get(invariant, ()))

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken, and no call failed."""
        return not any(self.record.broken.values()) and not self.record.failed

    @property
    def counts(self) -> bool:
        """Whether enough was done for the run to say something."""
        return self.acknowledged >= ENOUGH_CALLS and all(self.faults[name] >= ENOUGH_FAULTS for name in self.expected)

    def lines(self) -> list[str]:
        """The table, after examples of what went wrong."""
        record, faults = self.record, self.faults
        lines = [f"failed: {text}" for text in record.failed[:_EXAMPLES]]
        for invariant in Invariant:
            lines += [f"{invariant.name}: {text}" for text in record.broken.get(invariant, ())[:_EXAMPLES]]
        lines += ["", f"{'fault':<50} {'times':>6}   median s until work is handed out"]
        for name in sorted(self.expected | set(faults)):
            seconds = [record.recovery(fault) for fault in record.faults if fault.name == name]
            lines.append(f"{name:<50} {faults[name]:>6} {_median(seconds):>8}")
        lines += ["", f"{'invariant':<70} {'broken':>6}"]
        lines += [f"{invariant:<70} {self.broken(invariant):>6}" for invariant in Invariant]
        lines += [
            "",
            f"acknowledged: {_sums(record.acknowledged)}",
            f"refused, as they must be: {_sums(record.refused)}",
            f"{record.unknown} calls that may be sent only once got no answer",
            f"seed {self.seed}, {self.seconds:.0f} s, {self.acknowledged:,} calls acknowledged,"
            f" {len(record.failed)} calls failed after retries",
            f"the run {'counts' if self.counts else 'does not count'} and is {'' if self.is_clean else 'NOT '}clean",
        ]
        return lines


def _median(seconds: Iterable[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    return f"{median(known):.2f}" if known else "-"


def _sums(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counter.most_common())
