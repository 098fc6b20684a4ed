"""Messages about the server itself."""

from __future__ import annotations

from kolony.model.base import Model
from kolony.model.colonies import Statistics
from kolony.model.server import Cluster, ServerInfo
from kolony.wire.message import Message


class GetStatistics(Message[Statistics], tag="getstatisticsmsg"):
    """Counts of the whole server (server owner)."""

    failure = "Failed to get server version"
    malformed = "Failed to get statistics, invalid JSON"


class GetCluster(Message[Cluster], tag="getclustermsg"):
    """The servers and their leader (server owner)."""

    failure = "Failed to get cluster info"


class VersionReply(Model):
    """The version of the server."""

    buildversion: str = ""
    buildtime: str = ""
    msgtype: str = "versionmsg"


class Version(Message[VersionReply], tag="versionmsg"):
    """The version of the server (unsigned); what the client says of its own is not looked at."""

    failure = "Failed to get server version"
    buildversion: str = ""
    buildtime: str = ""


class GetServerInfo(Message[ServerInfo], tag="getserverinfomsg"):
    """Version and listeners of the server (unsigned)."""

    failure = "Failed to get server info"


class ChangeServerId(Message["ChangeServerId"], tag="changeserveridmsg"):
    """Give the server a new owner key (server owner); takes effect with the next request."""

    failure = "Failed to change colony Id"
    serverid: str = ""
