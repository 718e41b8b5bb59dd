import fs from "node:fs";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const image = fs.readFileSync("sample.jpg").toString("base64");
const document = Buffer.from("a,b\n1,2\n").toString("base64");
const answer = await ai.interactions.create({
  model: "gemini-3.5-flash",
  input: [
    { type: "text", text: "What is all this?" },
    { type: "image", data: image, mime_type: "image/jpeg" },
    { type: "audio", uri: "https://example.com/sample.mp3", mime_type: "audio/mp3" },
    { type: "video", uri: "https://example.com/sample.mp4", mime_type: "video/mp4" },
    { type: "document", data: document, mime_type: "text/csv" },
  ],
});
console.log(answer.output_text);
