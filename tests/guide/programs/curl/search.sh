ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

answer=$(ask '{"model": "gemini-3.5-flash", "input": "Who won the euro 2024?", "tools": [{"type": "google_search"}]}')
jq -r '
  (.steps[] | select(.type == "google_search_call")) as $call
  | (.steps[] | select(.type == "google_search_result")) as $result
  | "\($call.arguments.queries | join(" ")) \(if $call.id == $result.call_id then "same" else "other" end)"' <<<"$answer"
jq -r '.steps[-1].content[] | .text as $text | .annotations[] | "\($text[.start_index:.end_index]) [\(.title)](\(.url))"' <<<"$answer"
