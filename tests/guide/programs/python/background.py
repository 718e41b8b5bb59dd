import time

from google import genai

client = genai.Client()

run = client.interactions.create(
    model="gemini-3.5-flash",
    input="Tell me about the impact of artificial intelligence on modern healthcare.",
    background=True,
)
print(run.status)
while run.status == "in_progress":
    run = client.interactions.get(run.id)
    print(run.status)
    time.sleep(0.01)
print(run.output_text.splitlines()[0])
