"""All routes, by payload type."""

from kolony_apiserver.rpc import (
    assignments,
    attributes,
    colonies,
    crons,
    executors,
    functions,
    generators,
    locations,
    logs,
    processes,
    server,
    users,
    workflows,
)
from kolony_apiserver.rpc.route import Route

_FAMILIES = (
    server,
    colonies,
    executors,
    users,
    functions,
    processes,
    workflows,
    assignments,
    attributes,
    logs,
    locations,
    crons,
    generators,
)


def registry() -> dict[str, Route]:
    """The routes by payload type; one that stands twice is an error."""
    routes: dict[str, Route] = {}
    for family in _FAMILIES:
        for route in family.ROUTES:
            if route.payloadtype in routes:
                raise ValueError(f"{route.payloadtype} has two routes")
            routes[route.payloadtype] = route
    return routes
