"""What is remembered."""

from uploads.models.artifact import Artifact
from uploads.models.attempt import Attempt, Outcome
from uploads.models.error import ErrorRecord
from uploads.models.job import ACTIVE, TERMINAL, JobQuerySet, State, UploadJob
from uploads.models.message import Message
from uploads.models.node import Node
from uploads.models.pause import Pause
from uploads.models.token import ApiToken
from uploads.models.transfer import Concat, Transfer

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "ApiToken",
    "Artifact",
    "Attempt",
    "Concat",
    "ErrorRecord",
    "JobQuerySet",
    "Message",
    "Node",
    "Outcome",
    "Pause",
    "State",
    "Transfer",
    "UploadJob",
]
