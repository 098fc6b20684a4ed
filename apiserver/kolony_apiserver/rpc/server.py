"""Routes of the server itself. The two unsigned messages are answered before anyone is authorised."""

from kolony.wire import server as wire
from kolony_apiserver.authz.rules import server_owner
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import server

ROUTES = (
    Route(wire.GetStatistics, server_owner(), server.statistics),
    Route(wire.GetCluster, server_owner(), server.cluster),
    Route(wire.ChangeServerId, server_owner(server.require_id), server.change_id),
)
