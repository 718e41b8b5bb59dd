"""The defence of histories: what an answer is sealed with, and how whatever is sent back is held against its seals. Pure."""
