"""Answers: the Interaction resource, its steps, and answers that no script defines. Pure."""
