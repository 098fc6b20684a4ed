"""A server that lacks one of its safeguards, so that the tests can be seen to notice: its name is the argument."""

from __future__ import annotations

import sys

from kolony_apiserver.main import main
from kolony_apiserver.store.queries import queries

SAFEGUARDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    # query, what makes it safe, and what stands there instead
    "attempt": (("close_processes", "and (c.attempt is null or c.attempt = p.attempt)", ""),),
    "idempotency": (
        ("submit_processes", "(idempotencykey = '' or processid in (select unnest(processids) from claimed))", "true"),
    ),
    "fence": (
        ("claim_processes", "(%(term)s::bigint is null or exists (select from fence))", "true"),
        (
            "hold_term",
            "select term from leadership where term = %(term)s for key share",
            "select %(term)s::bigint as term",
        ),
    ),
}


def disarm(safeguard: str) -> None:
    """Take a safeguard out of the named queries."""
    for name, safe, unsafe in SAFEGUARDS[safeguard]:
        known = queries()
        if safe not in known[name]:
            raise SystemExit(f"the query {name} has no {safe!r}")
        known[name] = known[name].replace(safe, unsafe)


if __name__ == "__main__":
    disarm(sys.argv.pop())
    main()
