from google import genai

client = genai.Client()

answer = client.interactions.create(
    model="gemini-3.5-flash", input="Explain how AI works in a few words"
)
print(answer.status, *(step.type for step in answer.steps))
print(answer.output_text)
