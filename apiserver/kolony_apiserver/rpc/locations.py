"""Routes of locations."""

from kolony.wire import locations as wire
from kolony_apiserver.authz.rules import colony_owner, member, unknown_is_bad
from kolony_apiserver.authz.scopes import colonyname
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import locations

ROUTES = (
    Route(wire.AddLocation, colony_owner(locations.scope_of_new, unknown=unknown_is_bad), locations.add),
    Route(
        wire.GetLocations,
        member(colonyname, unknown=unknown_is_bad),
        lambda context, message: context.store.locations.find(message.colonyname),
    ),
    Route(wire.GetLocation, member(colonyname, unknown=unknown_is_bad), locations.get),
    Route(wire.RemoveLocation, colony_owner(colonyname, unknown=unknown_is_bad), locations.remove),
)
