// What the JavaScript programs have in common: a tool, a schema, and how they report.
import { z } from "zod";

export const MODEL = "gemini-3.5-flash";
export const AGENT = "antigravity-preview-05-2026";
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const TOOL_NAME = "get_current_temperature";
export const TOOL_DESCRIPTION = "Gets the current temperature for a given location.";
export const Location = z.object({ location: z.string() });
export const Recipe = z.object({ recipe_name: z.string(), prep_time_minutes: z.number().int() });
export const temperatureIn = ({ location }) => ({ location, temperature: "22", unit: "celsius" });

// What each capability returned, or its error.
export async function outcomes(capabilities) {
  const found = {};
  for (const [name, of] of Object.entries(capabilities)) {
    try {
      found[name] = String(await of());
    } catch (error) {
      found[name] = `${error.name}: ${error.message}`;
    }
  }
  return found;
}

export const report = async (capabilities) => console.log(JSON.stringify(await outcomes(capabilities)));
