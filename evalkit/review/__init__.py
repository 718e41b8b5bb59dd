"""People's decisions about failures, regressions and snapshots of a run."""
