ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

first=$(ask '{
  "agent": "antigravity-preview-05-2026",
  "input": "Write the first 20 Fibonacci numbers to fibonacci.txt with a script, and show the file.",
  "environment": "remote"
}')
jq -r '.steps | map(.type) | join(" ")' <<<"$first"
said "$first" | tail -n 1
second=$(ask "$(jq '{
  agent: "antigravity-preview-05-2026",
  input: "Now count its lines.",
  environment: .environment_id,
  previous_interaction_id: .id
}' <<<"$first")")
here=$(jq -r '.environment_id' <<<"$first")
jq -r --arg here "$here" '"\(.status) \(if .environment_id == $here then "same" else "other" end)"' <<<"$second"
