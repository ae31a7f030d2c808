package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads the header's two forms, seconds, which some servers write with
// a fraction, and a date (RFC 9110 section 10.2.3). Of several values, in as many
// fields or joined by commas on the way, the longest wait counts: each of them
// said so. What is no wait is 0, what is too long is one hour.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	var wait time.Duration
	for _, field := range header.Values("Retry-After") {
		parts := strings.Split(field, ",")
		for i, part := range parts {
			wait = max(wait, parseSeconds(part), parseDate(part, now))
			if i > 0 { // the forms of a date that have a comma
				wait = max(wait, parseDate(parts[i-1]+","+part, now))
			}
		}
	}
	return min(wait, maxRetryAfter)
}

func parseSeconds(text string) time.Duration {
	text = strings.TrimSpace(text)
	whole, _, _ := strings.Cut(text, ".")
	if whole == "" || strings.Trim(text, "0123456789.") != "" || strings.Count(text, ".") > 1 {
		return 0
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds > maxRetryAfter.Seconds() { // the error is one of the range
		return maxRetryAfter
	}
	return time.Duration(seconds * float64(time.Second))
}

func parseDate(text string, now time.Time) time.Duration {
	at, err := http.ParseTime(strings.TrimSpace(text))
	if err != nil {
		return 0
	}
	return at.Sub(now)
}
