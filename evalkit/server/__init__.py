"""A local Interactions API: scripts in YAML say what it answers, plain deterministic answers fill in, the protocol is kept."""

from evalkit.server.app import create_app
from evalkit.server.run import serve, serving
from evalkit.server.scripting.default_script import DEFAULT_SCRIPT, load_script
from evalkit.server.scripting.script import Script

__all__ = ["DEFAULT_SCRIPT", "Script", "create_app", "load_script", "serve", "serving"]
