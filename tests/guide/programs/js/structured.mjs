import { GoogleGenAI } from "@google/genai";
import * as z from "zod";

const Recipe = z.object({ recipe_name: z.string(), prep_time_minutes: z.int() });

const ai = new GoogleGenAI({});

const answer = await ai.interactions.create({
  model: "gemini-3.5-flash",
  input: "Give me a recipe for banana bread",
  response_format: { type: "text", mime_type: "application/json", schema: z.toJSONSchema(Recipe) },
});
const recipe = Recipe.parse(JSON.parse(answer.output_text));
console.log(`${recipe.recipe_name}, ${recipe.prep_time_minutes} minutes`);
