"""Routes of executors."""

from kolony.wire import executors as wire
from kolony_apiserver.authz.rules import approved_member, colony_owner, member
from kolony_apiserver.authz.scopes import colonyname, of_executor, of_executor_id
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import executors

ROUTES = (
    Route(wire.AddExecutor, colony_owner(executors.scope_of_new), executors.add),
    Route(wire.ApproveExecutor, colony_owner(of_executor), executors.approve),
    Route(wire.RejectExecutor, colony_owner(of_executor), executors.reject),
    Route(wire.RemoveExecutor, colony_owner(of_executor), executors.remove),
    Route(wire.GetExecutors, member(colonyname), executors.find),
    Route(wire.GetExecutor, approved_member(of_executor), executors.get),
    Route(wire.GetExecutorById, approved_member(of_executor_id), executors.get_by_id),
    Route(wire.ReportAllocation, member(colonyname), executors.report_allocation),
    Route(wire.UpdateExecutor, member(colonyname), executors.update),
    Route(wire.ChangeExecutorId, member(executors.scope_of_change), executors.change_id),
)
