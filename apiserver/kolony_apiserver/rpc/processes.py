"""Routes of processes."""

from msgspec import Raw

from kolony.wire import processes as wire
from kolony_apiserver.authz.rules import approved_member, colony_owner
from kolony_apiserver.authz.scopes import colonyname, of_process
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import processes

ROUTES = (
    Route(wire.SubmitFunctionSpec[Raw], approved_member(processes.scope_of_new), processes.submit),
    Route(wire.SubmitFunctionSpecs[Raw], approved_member(colonyname), processes.submit_many, large=True),
    Route(wire.GetProcess[Raw], approved_member(of_process("process not found", status=404)), processes.get),
    Route(wire.GetProcesses[Raw], approved_member(colonyname), processes.find),
    Route(wire.GetProcessHistory[Raw], approved_member(colonyname), processes.history),
    Route(wire.CloseSuccessful[Raw], approved_member(of_process()), processes.close_successful),
    Route(wire.CloseFailed, approved_member(of_process()), processes.close_failed),
    Route(wire.SetOutput[Raw], approved_member(of_process()), processes.set_output),
    Route(wire.CancelProcess, approved_member(of_process()), processes.cancel),
    Route(wire.RemoveProcess, approved_member(of_process()), processes.remove),
    Route(wire.RemoveAllProcesses, colony_owner(colonyname), processes.remove_all),
)
