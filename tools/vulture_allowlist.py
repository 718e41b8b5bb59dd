"""Names that only programs outside the package use, for the dead-code finder in ``make check``.

Each line counts as a use. A definition that nothing uses any more is deleted, not listed here.
"""
# ruff: noqa: B018, F821
# mypy: ignore-errors

# Classes that entry points in pyproject.toml name.
Citations
Cost
PythonTarget
JsonQuery
JsonSchema
Judge
Latency
Media
SameAs
Snapshot
Status
Steps
ToolCalls
Usage
Badge
Ctrf
JUnit
MarkdownSummary

# Methods and parameters that libraries call: pytest, click, PyYAML, uvicorn, HTTP clients, Hypothesis.
_.collect
_.runtest
_.reportinfo
_.shouldstop
_.get_command
_.format_commands
_.ignore_aliases
_.send_400_response
_.capture_signals
_.row_factory
_.dispatch
_.evalkit_decisions
_.evalkit_calibrations
_.calibrated
_.evalkit
_.is_closing
resume_reading
_.makefile
_._is_patched
_.is_verified
indentless
strategy

# Fields that pydantic reads from YAML and hands on as a mapping, and fields of JSON records.
_.rubric_digest
_.model_version
_.max_regressions
_.max_systematic_regressions
_.latency
_.min_pairs
_.max_removed
_.max_deselected
_.max_skipped
_.max_errors
_.max_baseline_errors
_.max_unmatched
_.max_weakened
_.rejudged
_.first_turn
_.min_pass_rate
_.required_tags
_.tool_calls
_.judge
_.simulator
_.persona
_.schema_version
_.short_description
_.defer_loading
_.predefined
_.image
_.video
_.resolution
_.sample_rate
_.channels
_.processing
_.agent_config
_.system_instruction
_.response_format
_.response_modalities
_.response_mime_type
_.service_tier
_.safety_settings
_.cached_content

# Fields of strength.json.
_.survived
_.equivalent

# Fields that Jinja templates read.
_.tiles
_.zero
_.ticks

# Attributes of the public test helpers.
_.delivered

# Attributes of items that hooks of other plugins and of conftest files read.
_.fixturenames
_.funcargs
_._initrequest
_.toterminal

# What the workers of a dask cluster are asked for by name.
run_conversation
