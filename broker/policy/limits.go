package policy

// What a document may hold. These bound what a call and a cold start cost.
const (
	// maxDocumentBytes bounds a document. 2,000 rules take a third of it.
	maxDocumentBytes = 1 << 20
	// maxDepth bounds how deep values may lie in one another: what a document
	// may hold is 7 deep, and reading one level takes stack.
	maxDepth    = 12
	maxRules    = 5000
	maxTests    = 1000
	maxProfiles = 1000
	// maxFaults bounds how many faults one document tells: the rest mostly follow
	// from the first, and /healthz shows them all.
	maxFaults = 50
)

// The life of AWS credentials, in seconds: what AWS takes, and what a call gets that
// names none.
const (
	leastSeconds   = 900
	mostSeconds    = 43200
	defaultSeconds = 3600
)
