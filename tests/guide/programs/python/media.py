import base64
from pathlib import Path

from google import genai

client = genai.Client()

image = base64.b64encode(Path("sample.jpg").read_bytes()).decode()
document = base64.b64encode(b"a,b\n1,2\n").decode()
answer = client.interactions.create(
    model="gemini-3.5-flash",
    input=[
        {"type": "text", "text": "What is all this?"},
        {"type": "image", "data": image, "mime_type": "image/jpeg"},
        {"type": "audio", "uri": "https://example.com/sample.mp3", "mime_type": "audio/mp3"},
        {"type": "video", "uri": "https://example.com/sample.mp4", "mime_type": "video/mp4"},
        {"type": "document", "data": document, "mime_type": "text/csv"},
    ],
)
print(answer.output_text)
