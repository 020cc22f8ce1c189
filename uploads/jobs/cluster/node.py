"""The node: one running supervisor and its cluster, as a row that beats while the cluster is up."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models.functions import Now

from uploads.linux import processes
from uploads.models import Node


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who this node is: fixed for the life of a supervisor. `pid` is the supervisor's."""

    id: UUID = field(default_factory=uuid4)
    name: str = field(default_factory=lambda: socket.gethostname()[:200])
    boot_id: str = field(default_factory=processes.boot_id)
    pid_namespace: str = field(default_factory=processes.pid_namespace)
    pid: int = field(default_factory=os.getpid)
    workers: int = field(default_factory=lambda: int(settings.WORKERS))


def register(node: NodeIdentity) -> None:
    """Write the node's row, before its first worker refers to it. Raises DatabaseError."""
    Node.objects.create(
        id=node.id, name=node.name, boot_id=node.boot_id, pid_namespace=node.pid_namespace, pid=node.pid,
        workers=node.workers, started_at=Now(), beat_at=Now(),
    )  # fmt: skip


def beat(node: NodeIdentity, restarts: int, note: str) -> None:
    """Say that the node is alive, how often its cluster was restarted and why. Raises DatabaseError."""
    moved = Node.objects.filter(pk=node.id).update(
        beat_at=Now(), restarts=restarts, note=note[:300], stopped_at=None
    )
    if not moved:  # pruned after a long silence, or deleted by hand: attempts refer to the row
        register(node)


def sign_off(node: NodeIdentity, note: str) -> None:
    """Say that the node has stopped in order. Raises DatabaseError."""
    Node.objects.filter(pk=node.id).update(beat_at=Now(), stopped_at=Now(), note=note[:300])
