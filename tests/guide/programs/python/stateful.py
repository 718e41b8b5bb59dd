from google import genai

client = genai.Client()

first = client.interactions.create(model="gemini-3.5-flash", input="I have 3 dogs in my house.")
second = client.interactions.create(
    model="gemini-3.5-flash",
    input="How many paws are in my house?",
    previous_interaction_id=first.id,
)
print(first.output_text)
print(second.output_text)
