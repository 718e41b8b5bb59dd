"""``judge``: a model judges the conversation by a rubric, in writing or by a decision."""

from evalkit.checks.judge.check import Judge as Judge
