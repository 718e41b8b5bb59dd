"""Conversations on the workers of a dask.distributed cluster (extra ``cluster``).

The session's process decides what is started and writes all files. What goes out and returns are
plain values: archives of files, result lines, numbers.
"""
