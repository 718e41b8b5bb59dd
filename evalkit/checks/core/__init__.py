"""What all checks share: their base class, arguments, runner, matching and formatting."""
