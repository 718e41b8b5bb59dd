from google import genai

client = genai.Client()

events = list(
    client.interactions.create(model="gemini-3.5-flash", input="Explain how AI works", stream=True)
)
id_ = events[0].interaction.id
rest = list(client.interactions.get(id_, stream=True, last_event_id=events[9].event_id))
same = [event.event_id for event in rest] == [event.event_id for event in events[10:]]
print("same" if same else "other")
kept = client.interactions.get(id_, include_input=True)
print(*(step.type for step in kept.steps))
print(kept.input[0].content[0].text)
