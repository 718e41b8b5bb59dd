from google import genai

client = genai.Client()


def said(text):
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


history = []
for text in (
    "I have 3 dogs in my house.",
    "They are called Ada, Grace and Linus.",
    "How many paws are in my house?",
):
    history.append(said(text))
    answer = client.interactions.create(model="gemini-3.5-flash", store=False, input=history)
    history += [step.model_dump() for step in answer.steps]
print(*(step["type"] for step in history))
print(answer.output_text)
