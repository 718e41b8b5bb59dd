"""Pages for people: the HTML report of a run, comparison, history and review pages."""
