package grant

import "time"

const (
	// maxPurpose is in characters.
	maxPurpose = 120
	// maxPolicyDepth bounds how deep a call's own session policy may nest: several
	// times what IAM's grammar can.
	maxPolicyDepth = 32
	// stsWait is what to wait when STS throttles and does not say for how long.
	stsWait = 5 * time.Second
)
