"""Routes of logs."""

from kolony.wire import logs as wire
from kolony_apiserver.authz.rules import approved_member
from kolony_apiserver.authz.scopes import colonyname, of_log, of_process
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import logs

ROUTES = (
    Route(wire.AddLog, approved_member(of_process()), logs.add),
    Route(wire.AddExecutorLog, approved_member(colonyname), logs.add_executor),
    Route(wire.GetLogs, approved_member(of_log), logs.find),
    Route(wire.SearchLogs, approved_member(colonyname), logs.search),
)
