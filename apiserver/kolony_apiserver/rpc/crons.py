"""Routes of crons."""

from kolony.wire import crons as wire
from kolony_apiserver.authz.rules import approved_member
from kolony_apiserver.authz.scopes import colonyname, of_cron, of_cron_to_run, of_cron_to_update
from kolony_apiserver.rpc.route import Route
from kolony_apiserver.services import crons

ROUTES = (
    Route(wire.AddCron, approved_member(crons.scope_of_new), crons.add),
    Route(wire.GetCron, approved_member(of_cron), crons.get),
    Route(wire.GetCrons, approved_member(colonyname), crons.find),
    Route(wire.RunCron, approved_member(of_cron_to_run), crons.run),
    Route(wire.RemoveCron, approved_member(of_cron), crons.remove),
    Route(wire.UpdateCron, approved_member(of_cron_to_update), crons.update),
    Route(wire.PauseCron, approved_member(of_cron), crons.pause),
    Route(wire.ResumeCron, approved_member(of_cron), crons.resume),
)
