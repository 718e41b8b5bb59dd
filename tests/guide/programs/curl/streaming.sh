curl -s --no-buffer "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions?alt=sse" -H "x-goog-api-key: $GEMINI_API_KEY" \
  -H "Content-Type: application/json" -d '{"model": "gemini-3.5-flash", "input": "Explain how AI works", "stream": true}' |
  sed -n 's/^data: {/{/p' >events.jsonl

jq -rj 'select(.event_type == "step.delta" and .delta.type == "text") | .delta.text' events.jsonl >text.txt
head -n 1 text.txt
tail -n 1 events.jsonl | jq -r '"\(.event_type) \(.interaction.status)"'
