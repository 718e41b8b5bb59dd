// Google's SDK for JavaScript in a browser; the page's address has the base URL and the key.
import { GoogleGenAI } from "@google/genai/web";
import { capabilities } from "./google_genai_capabilities.mjs";
import { outcomes } from "./shared.mjs";

const query = new URLSearchParams(location.search);
const httpOptions = { baseUrl: query.get("url") };
window.outcome = outcomes(capabilities(new GoogleGenAI({ apiKey: query.get("key"), httpOptions })));
