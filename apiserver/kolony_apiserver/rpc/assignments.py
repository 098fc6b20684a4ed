"""Routes of assignment."""

from msgspec import Raw

from kolony.wire import assignments as wire
from kolony_apiserver.authz.rules import approved_member, colony_owner, member
from kolony_apiserver.authz.scopes import colonyname
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import assignments

ROUTES = (
    Route(wire.AssignProcess[Raw], approved_member(colonyname), assignments.assign),
    Route(wire.PauseAssignments, colony_owner(colonyname), assignments.pause),
    Route(wire.ResumeAssignments, colony_owner(colonyname), assignments.resume),
    Route(wire.GetPauseStatus, member(colonyname), assignments.pause_status, reply_as=wire.PAUSE_STATUS_REPLY),
)
