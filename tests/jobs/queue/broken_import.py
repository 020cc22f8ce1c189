"""A team's module that does not import any more."""

raise RuntimeError("this module is broken")
