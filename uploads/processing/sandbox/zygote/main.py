"""The zygote: without Django or secrets, with every processor imported, it forks a child for each file.

Started by `sandbox.Sandbox` as `python -I -c BOOTSTRAP socket alive parent sys.path`. Says HELLO when it is
ready; ends when the worker's end of the socket closes or the worker dies.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from dataclasses import asdict
from typing import Any, NoReturn

from uploads.linux import syscalls
from uploads.processing.base import Limits
from uploads.processing.registry import Registry
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.isolation import jail, rootfs
from uploads.processing.sandbox.zygote import child, usage
from uploads.processing.sandbox.zygote.monitor import WorkerGone
from uploads.processing.sandbox.zygote.rlimits import Rules
from uploads.processing.sandbox.zygote.runner import Warden
from uploads.processing.sandbox.zygote.warmup import rehearse


def main(fd: int, alive: int, parent: int) -> NoReturn:
    """Serve the worker `parent` on the socket `fd`; does not return.

    `alive` is the reading end of a pipe, which we and every child hold open and nobody uses: at the other
    end the worker sees when the last of us has gone.
    """
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # a stopping worker finishes its file, then closes the socket
    syscalls.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    sys.dont_write_bytecode = True
    with socket.socket(fileno=fd) as worker:
        try:
            _serve(worker, alive)
        except (WorkerGone, BrokenPipeError, ConnectionResetError):
            os._exit(0)
    os._exit(0)


def _serve(worker: socket.socket, alive: int) -> None:
    number = os.getpid()
    setup = _setup(worker)
    isolated = jail.isolate(setup["without"])
    syscalls.become_subreaper()
    light = setup["light"]
    registry = Registry(setup["processors"], light and light["installed"])
    try:
        if light:
            registry.learn(light["types"])
        here = tuple(light["kinds"]) if light else registry.kinds()
        registry.preload(here)
        modules = [type_module(registry, kind) for kind in here]
        if light:
            limits = {kind: Limits(**one) for kind, one in light["limits"].items()}
        else:
            limits = {kind: registry.limits(kind, setup["limits"]) for kind in here}
    except (ImportError, ValueError) as error:
        worker.sendall(protocol.pack(protocol.BROKEN, {"errno": None, "detail": str(error)}))
        return
    ours = jail.build(setup["without"], rootfs.readable_places(modules), isolated=isolated, number=number)
    if ours.root_ns is not None:
        child.set_temporary(rootfs.ARTIFACTS)  # the same for every child
    rehearse(registry)
    gc.collect()
    gc.freeze()
    rules = Rules(registry, here, limits, tuple(setup["allowed_types"]), *usage.own_memory(), ours.others)
    hello: dict[str, Any] = {
        "missing": list(ours.missing),
        "wall_seconds": rules.ceiling.wall_seconds,
        "light": {
            "kinds": list(registry.light_kinds()),
            "installed": registry.installed,
            "types": registry.types(),
            "limits": {kind: asdict(one) for kind, one in limits.items()},
        },
    }
    warden = Warden(worker, alive, rules, ours)
    worker.sendall(protocol.pack(protocol.HELLO, hello))
    warden.serve()


def type_module(registry: Registry, kind: str) -> str:
    """The name of the module that a kind's processor came from."""
    processor = registry.get(kind)
    return str(getattr(processor, "__name__", None) or getattr(processor, "__module__", ""))


def _setup(worker: socket.socket) -> dict[str, Any]:
    frames = protocol.Frames(protocol.SETUP)
    while True:
        data = worker.recv(1 << 16)
        if not data:
            raise WorkerGone
        for _, body in frames.feed(data):
            setup: dict[str, Any] = json.loads(body)
            return setup
