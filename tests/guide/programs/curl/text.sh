ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

answer=$(ask '{"model": "gemini-3.5-flash", "input": "Explain how AI works in a few words"}')
jq -r '[.status, .steps[].type] | join(" ")' <<<"$answer"
jq -r '.steps[-1].content[0].text' <<<"$answer"
