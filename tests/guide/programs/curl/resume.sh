interactions="$GOOGLE_GEMINI_BASE_URL/v1beta/interactions"
key="x-goog-api-key: $GEMINI_API_KEY"

curl -s "$interactions" -H "$key" -H "Content-Type: application/json" \
  -d '{"model": "gemini-3.5-flash", "input": "Explain how AI works", "stream": true}' | sed -n 's/^data: {/{/p' >events.jsonl
id=$(head -n 1 events.jsonl | jq -r '.interaction.id')
after=$(sed -n 10p events.jsonl | jq -r '.event_id')
curl -s --get "$interactions/$id" -H "$key" -d stream=true --data-urlencode "last_event_id=$after" | sed -n 's/^data: {/{/p' >rest.jsonl
cmp -s rest.jsonl <(tail -n +11 events.jsonl) && echo same || echo other
kept=$(curl -s "$interactions/$id?include_input=true" -H "$key")
jq -r '.steps | map(.type) | join(" ")' <<<"$kept"
jq -r '.input[0].content[0].text' <<<"$kept"
