"""Routes of functions."""

from kolony.wire import functions as wire
from kolony_apiserver.authz.rules import approved_member
from kolony_apiserver.authz.scopes import colonyname, of_function
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import functions

ROUTES = (
    Route(wire.AddFunction, approved_member(functions.scope_of_new), functions.add),
    Route(
        wire.GetFunctions,
        approved_member(colonyname),
        lambda context, message: context.store.functions.find(message.colonyname, message.executorname),
    ),
    Route(wire.RemoveFunction, approved_member(of_function), functions.remove),
)
