package upstream

import "time"

// WholeSeconds rounds a wait up to what a Retry-After header can say (RFC 9110
// section 10.2.3), and to at least one second.
func WholeSeconds(d time.Duration) int {
	whole := int(d / time.Second)
	if d%time.Second > 0 {
		whole++
	}
	return max(1, whole)
}
