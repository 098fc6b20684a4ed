"""Routes of attributes."""

from kolony.wire import attributes as wire
from kolony_apiserver.authz.rules import approved_member
from kolony_apiserver.authz.scopes import of_attribute, of_target
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import attributes

ROUTES = (
    Route(wire.AddAttribute, approved_member(of_target), attributes.add),
    Route(wire.GetAttribute, approved_member(of_attribute), attributes.get),
)
