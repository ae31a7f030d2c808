package upstream

import "time"

// WholeSeconds rounds a wait up to what a Retry-After header can say (RFC 9110
// section 10.2.3), and to at least one second.
func WholeSeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}
