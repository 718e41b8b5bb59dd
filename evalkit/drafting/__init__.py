"""From recorded conversations to suites: the user's turns, tools as stubs, settings, and first expectations, marked as drafts."""
