import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const answer = await ai.interactions.create({ model: "gemini-3.5-flash", input: "Explain how AI works in a few words" });
console.log(answer.status, ...answer.steps.map((step) => step.type));
console.log(answer.output_text);
