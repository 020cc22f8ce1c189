"""One job from the zygote's side: lend the file, fork the child into the jail, have it watched, report."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import NoReturn

from uploads.linux import syscalls
from uploads.processing.base import Json
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.isolation.jail import Jail
from uploads.processing.sandbox.isolation.mounts import Loan
from uploads.processing.sandbox.zygote import child, fork
from uploads.processing.sandbox.zygote.monitor import Forked, Link, Watch
from uploads.processing.sandbox.zygote.rlimits import Rules


@dataclass(frozen=True, slots=True)
class Order:
    """A job as the worker asked for it: paths as the worker sees them, `deadline` in seconds from now."""

    path: str
    filename: str
    artifacts: str
    deadline: float | None

    @classmethod
    def load(cls, body: bytes) -> Order:
        """From the body of a RUN frame."""
        return cls(**json.loads(body))


class Warden:
    """Does one job after another for one worker. `alive` is kept open by every child."""

    def __init__(self, worker: socket.socket, alive: int, rules: Rules, jail: Jail) -> None:
        self._link, self._alive, self._rules, self._jail = Link(worker), alive, rules, jail
        self._pid = os.getpid()
        self._init = self._fork_init() if jail.namespaces else 0

    def serve(self) -> NoReturn:
        """Do what the worker asks. Raises WorkerGone when it closes its end."""
        while True:
            for kind, body in self._link.receive():
                if kind == protocol.RUN:  # a STOP that came too late stops nothing
                    self._run(Order.load(body))

    def _run(self, order: Order) -> None:
        began = time.monotonic()
        try:
            loan = self._jail.lend(order.path, order.artifacts)
        except OSError as error:
            refused: dict[str, Json] = {"errno": error.errno, "detail": str(error)}
            self._link.send(protocol.BROKEN, protocol.dump(refused))
            return
        try:
            forked = self._fork(order, loan)
            deadline = began + order.deadline if order.deadline is not None else float("inf")
            end = Watch(self._link, self._rules, forked, began, deadline, order.artifacts).until_the_end()
        finally:
            loan.give_back()
        self._link.send(protocol.END, protocol.dump(end))

    def _fork(self, order: Order, loan: Loan) -> Forked:
        frames, frames_in = os.pipe()
        errors, errors_in = os.pipe()
        pid = fork.fork()
        if not pid:
            self._become_child(order, loan, frames_in, errors_in)
        os.close(frames_in)
        os.close(errors_in)
        os.set_blocking(frames, False)
        os.set_blocking(errors, False)
        return Forked(pid, self._init, frames, errors)

    def _fork_init(self) -> int:
        """The first process of a PID namespace that all our children are born into; it reaps orphans.

        No child is the first itself, since a kernel withholds fatal signals from that one; and each is our
        own child, so that we read its end and its costs at first hand. One namespace serves all jobs: the
        next begins when nobody of the last is left in it, and a new one for each would cost 3 ms.
        """
        syscalls.unshare(syscalls.CLONE_NEWPID)
        pid = os.fork()
        if not pid:
            try:
                child.close_all_but((self._alive,))
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
                syscalls.die_with_parent(signal.SIGKILL)
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        return pid

    def _become_child(self, order: Order, loan: Loan, frames: int, errors: int) -> NoReturn:
        try:
            syscalls.die_with_parent(signal.SIGKILL)
            os.setsid()
            os.umask(0o077)
            jail = self._jail
            os.dup2(errors, 2)  # nothing in, nothing out: the zygote has no other input and output itself
            syscalls.default_signals()
            path, artifacts = jail.enter(loan)
            child.close_all_but((frames, self._alive, *loan.fds))
            self._die_with_us()
            child.work(self._rules, path, order.filename, artifacts, frames)
        except BaseException as error:  # noqa: BLE001 - must not unwind into the zygote's loop
            protocol.write_all(frames, protocol.frame(protocol.FAILED, child.failure(error)))
            os._exit(0)

    def _die_with_us(self) -> None:
        """In the child: see to what would outlive the zygote where no PID namespace takes all along."""
        if self._jail.namespaces:
            return
        if os.getppid() != self._pid:
            os._exit(1)  # it died before we asked to follow
        os.register_at_fork(after_in_child=lambda: syscalls.die_with_parent(signal.SIGKILL))
