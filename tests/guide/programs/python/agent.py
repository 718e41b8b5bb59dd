from google import genai

client = genai.Client()

first = client.interactions.create(
    agent="antigravity-preview-05-2026",
    input="Write the first 20 Fibonacci numbers to fibonacci.txt with a script, and show the file.",
    environment="remote",
)
print(*(step.type for step in first.steps))
print(first.output_text.splitlines()[-1])
second = client.interactions.create(
    agent="antigravity-preview-05-2026",
    input="Now count its lines.",
    environment=first.environment_id,
    previous_interaction_id=first.id,
)
print(second.status, "same" if second.environment_id == first.environment_id else "other")
