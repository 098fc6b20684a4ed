"""Routes of generators."""

from kolony.wire import generators as wire
from kolony_apiserver.authz.rules import approved_member
from kolony_apiserver.authz.scopes import colonyname, of_generator, of_generator_name
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import generators

ROUTES = (
    Route(wire.AddGenerator, approved_member(generators.scope_of_new), generators.add),
    Route(wire.GetGenerator, approved_member(of_generator), generators.get),
    Route(wire.ResolveGenerator, approved_member(of_generator_name), generators.resolve),
    Route(wire.GetGenerators, approved_member(colonyname), generators.find),
    Route(wire.PackGenerator, approved_member(of_generator), generators.pack),
    Route(wire.RemoveGenerator, approved_member(of_generator), generators.remove),
)
