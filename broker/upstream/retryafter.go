package upstream

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds the wait that an answer may ask for.
const maxRetryAfter = time.Hour

// RetryAfter reads the header's two forms, seconds and a date (RFC 9110 section
// 10.2.3). What is no wait is 0, what is too long is one hour.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		seconds = min(seconds, uint64(maxRetryAfter/time.Second))
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
