// Google's SDK for JavaScript on Node.
import { GoogleGenAI } from "@google/genai";
import { capabilities } from "./google_genai_capabilities.mjs";
import { report } from "./shared.mjs";

console.warn = () => {}; // agents, environments and triggers are experimental, it says
await report(capabilities(new GoogleGenAI({})));
