package sts

// Bounds of the action's parameters and of its answer (AWS STS API reference,
// AssumeRoleWithWebIdentity).
const (
	// MinDurationSeconds and MaxDurationSeconds bound the life of a session.
	MinDurationSeconds = 900
	MaxDurationSeconds = 43200

	minTokenLength = 4
	maxTokenLength = 20000
	minARN         = 20
	maxARN         = 2048
	minSessionName = 2
	maxSessionName = 64
	maxPolicyARNs  = 10
	// maxPolicies holds for the characters of the inline policy and of all ARNs
	// together.
	maxPolicies = 2048
)

// Bounds of a role's ARN (IAM API reference).
const (
	maxRolePath = 512
	maxRoleName = 64
)

// maxRegion keeps a region far inside a DNS label, of which it becomes one.
const maxRegion = 32

// Bounds of an XML document. An answer of STS has about 20 elements, 4 deep.
const (
	maxXMLDepth    = 16
	maxXMLElements = 256
)
