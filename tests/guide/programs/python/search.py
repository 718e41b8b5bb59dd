from google import genai

client = genai.Client()

answer = client.interactions.create(
    model="gemini-3.5-flash", input="Who won the euro 2024?", tools=[{"type": "google_search"}]
)
call = next(step for step in answer.steps if step.type == "google_search_call")
result = next(step for step in answer.steps if step.type == "google_search_result")
print(*call.arguments.queries, "same" if call.id == result.call_id else "other")
for block in answer.steps[-1].content:
    for note in block.annotations:
        cited = block.text.encode()[note.start_index : note.end_index].decode()
        print(f"{cited} [{note.title}]({note.url})")
