"""Routes of users."""

from kolony.wire import users as wire
from kolony_apiserver.authz.rules import colony_owner, member, unknown_is_bad
from kolony_apiserver.authz.scopes import colonyname
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import users

ROUTES = (
    Route(wire.AddUser, colony_owner(users.scope_of_new, unknown=unknown_is_bad), users.add),
    Route(
        wire.GetUsers,
        member(colonyname, unknown=unknown_is_bad),
        lambda context, message: context.store.users.find(message.colonyname),
    ),
    Route(wire.GetUser, member(colonyname, unknown=unknown_is_bad), users.get),
    Route(wire.GetUserById, member(colonyname, unknown=unknown_is_bad), users.get_by_id),
    Route(wire.RemoveUser, colony_owner(colonyname, unknown=unknown_is_bad), users.remove),
    Route(wire.ChangeUserId, member(users.scope_of_change), users.change_id),
)
