"""What a suite means: its keys and rules, scenarios, variants, tools, templates and expectations."""
