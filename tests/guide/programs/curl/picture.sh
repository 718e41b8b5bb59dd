ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

answer=$(ask '{"model": "gemini-3.1-flash-image", "input": "Draw a lighthouse in the fog"}')
image=$(jq '[.steps[].content[]? | select(.type == "image")][-1]' <<<"$answer")
jq -r '.data' <<<"$image" | base64 -d >picture.png
jq -r '.mime_type' <<<"$image"
