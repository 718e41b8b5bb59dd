import fs from "node:fs";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const answer = await ai.interactions.create({ model: "gemini-3.1-flash-image", input: "Draw a lighthouse in the fog" });
fs.writeFileSync("picture.png", Buffer.from(answer.output_image.data, "base64"));
console.log(answer.output_image.mime_type);
