from google import genai
from google.genai._gaos.lib.compat_errors import NotFoundError

client = genai.Client()

run = client.interactions.create(model="gemini-3.5-flash", input="Take your time", background=True)
print(run.status)
print(client.interactions.cancel(run.id).status)
print(client.interactions.get(run.id).status)
client.interactions.delete(run.id)
try:
    client.interactions.get(run.id)
except NotFoundError as error:
    print(error.status_code)
