"""What a suite means: keys, rules, scenarios, variants, tools, templates."""
