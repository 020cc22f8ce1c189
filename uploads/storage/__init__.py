"""Where bytes live: incoming ones in the spool, whole ones among the kept files, derived ones as artifacts.

A path from outside never gets here: every path is made of a job's id, an attempt's number and an
artifact's checked name.
"""
