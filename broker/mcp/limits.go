package mcp

const (
	// MaxBodyBytes is the size of the largest request body that is read, 256 KiB. A
	// host may cut longer ones, as long as it passes on one byte more than this.
	MaxBodyBytes = 256 << 10
	// maxDepth is how deep arrays and objects may nest in a body.
	maxDepth = 64
	// maxBatch is how many messages one batch may hold.
	maxBatch = 20
	// maxArgumentsBytes is several times what any tool here takes. Arguments are held
	// while their tool waits for somebody else.
	maxArgumentsBytes = 16 << 10
	// maxNameBytes bounds the name of a tool.
	maxNameBytes = 64
)
