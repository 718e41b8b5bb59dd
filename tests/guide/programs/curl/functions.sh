ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

tool=$(cat weather.json)
body=$(jq -n --argjson tool "$tool" '{model: "gemini-3.5-flash", input: "What are the temperatures in London and Paris?", tools: [$tool]}')
while true; do
  answer=$(ask "$body")
  jq -r '.status' <<<"$answer"
  [ "$(jq -r '.status' <<<"$answer")" = requires_action ] || break
  body=$(jq --argjson tool "$tool" --argjson degrees '{"London": "22", "Paris": "25"}' '{
    model: "gemini-3.5-flash",
    previous_interaction_id: .id,
    tools: [$tool],
    input: [.steps[] | select(.type == "function_call") | .arguments.location as $city | {
      type: "function_result",
      name: .name,
      call_id: .id,
      result: {location: $city, temperature: $degrees[$city], unit: "celsius"}
    }]
  }' <<<"$answer")
done
said "$answer"
