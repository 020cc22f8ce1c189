"""A job as the promises describe it: what the state machine expects to find in the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from uploads.jobs.lifecycle import retry_policy

RECEIVING, QUEUED, RUNNING = "receiving", "queued", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"


@dataclass
class JobModel:
    """One job; `outcomes` by attempt number, "" for the one that runs; `records` are failure codes by attempt."""

    id: UUID
    data: bytes
    state: str = QUEUED
    attempt: int = 0
    budget_from: int = 0
    outcomes: dict[int, str] = field(default_factory=dict)
    records: dict[int, str] = field(default_factory=dict)

    def runs(self, attempt: int) -> bool:
        """The fence: whether that attempt is the one that runs."""
        return self.state == RUNNING and self.attempt == attempt

    def start(self) -> int:
        self.attempt += 1
        self.state = RUNNING
        self.outcomes[self.attempt] = ""
        return self.attempt

    def end(self, outcome: str, state: str) -> None:
        """The running attempt ends."""
        self.outcomes[self.attempt] = outcome
        self.state = state

    def fail(self, code: str) -> None:
        """The running attempt fails; the code's budget decides whether another follows."""
        self.records[self.attempt] = code
        self.end("failed", QUEUED if self.spent(code) < retry_policy.table()[code].budget else FAILED)

    def spent(self, code: str) -> int:
        """Records of this code since the last retry by a person."""
        return sum(one == code for number, one in self.records.items() if number > self.budget_from)

    def cancel(self) -> None:
        if self.state == RUNNING:
            self.outcomes[self.attempt] = "cancelled"
        self.state = CANCELLED

    def retry(self) -> None:
        self.state, self.budget_from = QUEUED, self.attempt
