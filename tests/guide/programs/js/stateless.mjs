import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const history = [];
let answer;
for (const text of ["I have 3 dogs in my house.", "They are called Ada, Grace and Linus.", "How many paws are in my house?"]) {
  history.push({ type: "user_input", content: [{ type: "text", text }] });
  answer = await ai.interactions.create({ model: "gemini-3.5-flash", store: false, input: history });
  history.push(...answer.steps);
}
console.log(...history.map((step) => step.type));
console.log(answer.output_text);
