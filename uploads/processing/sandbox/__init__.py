"""Locking a file in: the client in the worker, the zygote outside the wall, the isolation that is the wall."""
