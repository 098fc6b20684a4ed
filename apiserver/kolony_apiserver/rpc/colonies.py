"""Routes of colonies."""

from kolony.wire import colonies as wire
from kolony_apiserver.authz.rules import approved_member, colony_owner, not_found_is_bad, server_owner
from kolony_apiserver.authz.scopes import colonyname
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import colonies

ROUTES = (
    Route(wire.AddColony, server_owner(), colonies.add),
    Route(wire.RemoveColony, server_owner(), colonies.remove),
    Route(wire.GetColonies, server_owner(), lambda context, _: context.store.colonies.find()),
    Route(wire.GetColony, approved_member(colonyname), colonies.get),
    Route(
        wire.GetColonyStatistics,
        approved_member(colonyname, unknown=not_found_is_bad),
        lambda context, message: context.store.colonies.statistics(message.colonyname),
    ),
    Route(wire.ChangeColonyId, colony_owner(colonies.scope_of_change), colonies.change_id),
)
