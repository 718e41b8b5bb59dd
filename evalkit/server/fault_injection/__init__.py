"""Fault injection: which requests get which faults, and what each fault does to a reply."""
