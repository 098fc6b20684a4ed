"""Routes of workflows."""

from msgspec import Raw

from kolony.wire import workflows as wire
from kolony_apiserver.authz.rules import approved_member, colony_owner
from kolony_apiserver.authz.scopes import colonyname, of_workflow
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import workflows

ROUTES = (
    Route(wire.SubmitWorkflow[Raw], approved_member(workflows.scope_of_new), workflows.submit, large=True),
    Route(wire.AddChild[Raw], approved_member(workflows.scope_of_child), workflows.add_child),
    Route(wire.GetWorkflow, approved_member(of_workflow), workflows.get),
    Route(wire.GetWorkflows, approved_member(colonyname), workflows.find),
    Route(wire.CancelWorkflow, approved_member(of_workflow), workflows.cancel),
    Route(wire.RemoveWorkflow, approved_member(of_workflow), workflows.remove),
    Route(wire.RemoveAllWorkflows, colony_owner(colonyname), workflows.remove_all),
)
