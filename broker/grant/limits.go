package grant

import "time"

const (
	// maxPurpose is in characters.
	maxPurpose = 120
	// stsWait is what to wait when STS throttles and does not say for how long.
	stsWait = 5 * time.Second
)
