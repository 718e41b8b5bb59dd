from google import genai
from pydantic import BaseModel


class Recipe(BaseModel):
    recipe_name: str
    prep_time_minutes: int


client = genai.Client()

answer = client.interactions.create(
    model="gemini-3.5-flash",
    input="Give me a recipe for banana bread",
    response_format={
        "type": "text",
        "mime_type": "application/json",
        "schema": Recipe.model_json_schema(),
    },
)
recipe = Recipe.model_validate_json(answer.output_text)
print(f"{recipe.recipe_name}, {recipe.prep_time_minutes} minutes")
