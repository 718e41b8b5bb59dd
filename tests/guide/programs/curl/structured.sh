ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

answer=$(ask '{
  "model": "gemini-3.5-flash",
  "input": "Give me a recipe for banana bread",
  "response_format": {
    "type": "text",
    "mime_type": "application/json",
    "schema": {
      "type": "object",
      "properties": {"recipe_name": {"type": "string"}, "prep_time_minutes": {"type": "integer"}},
      "required": ["recipe_name", "prep_time_minutes"]
    }
  }
}')
said "$answer" | jq -r '"\(.recipe_name), \(.prep_time_minutes) minutes"'
