import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const first = await ai.interactions.create({ model: "gemini-3.5-flash", input: "I have 3 dogs in my house." });
const second = await ai.interactions.create({
  model: "gemini-3.5-flash",
  input: "How many paws are in my house?",
  previous_interaction_id: first.id,
});
console.log(first.output_text);
console.log(second.output_text);
