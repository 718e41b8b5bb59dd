ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

first=$(ask '{"model": "gemini-3.5-flash", "input": "I have 3 dogs in my house."}')
id=$(jq -r '.id' <<<"$first")
second=$(ask "$(jq -n --arg id "$id" '{model: "gemini-3.5-flash", input: "How many paws are in my house?", previous_interaction_id: $id}')")
said "$first"
said "$second"
