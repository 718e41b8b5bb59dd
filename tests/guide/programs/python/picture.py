import base64
from pathlib import Path

from google import genai

client = genai.Client()

answer = client.interactions.create(
    model="gemini-3.1-flash-image", input="Draw a lighthouse in the fog"
)
Path("picture.png").write_bytes(base64.b64decode(answer.output_image.data))
print(answer.output_image.mime_type)
