from google import genai

client = genai.Client()

text, last = "", None
for event in client.interactions.create(
    model="gemini-3.5-flash", input="Explain how AI works", stream=True
):
    if event.event_type == "step.delta" and event.delta.type == "text":
        text += event.delta.text
    last = event
print(text.splitlines()[0])
print(last.event_type, last.interaction.status)
