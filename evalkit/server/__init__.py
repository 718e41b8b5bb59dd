"""A local server of the Interactions API: scripted, replayed, or forwarded and recorded."""

from evalkit.server.app import create_app
from evalkit.server.run import serve, serving
from evalkit.server.scripting.script import DEFAULT_SCRIPT, Script, load_script

__all__ = ["DEFAULT_SCRIPT", "Script", "create_app", "load_script", "serve", "serving"]
