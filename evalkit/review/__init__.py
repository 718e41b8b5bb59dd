"""Review: what people decide about a run, bound to digests, signed, and verified offline."""
