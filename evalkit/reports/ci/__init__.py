"""Files for CI systems: JUnit, CTRF, Markdown summary, badge, GitHub annotations and comment."""
