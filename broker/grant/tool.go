package grant

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/mcp"
)

// Instructions tell a model what the tools are for.
const Instructions = "Hands out short-lived credentials for the signed-in person: AWS temporary credentials, " +
	"GitHub installation tokens and SSH certificates. Ask for one only when the task needs it, do not repeat secrets " +
	"in your answers, and ask again when one has expired."

//go:embed schemas.json
var schemas []byte // the input and output schema of each tool, by its name

// tools are all tools, in the order in which they are listed. To add one, write
// its file, its line here, and its schema in schemas.json.
func tools() []tool {
	return []tool{awsTool(), githubTool(), sshTool()}
}

// A tool is one thing that can be asked for.
type tool struct {
	name, title string
	description string // for the model
	annotations mcp.Annotations
	scope       authserver.Scopes
	// prepare says which credential a call's arguments ask for. It does no I/O, and
	// mints nothing. With an error the credential may have the target that was
	// understood so far.
	prepare func(d *Desk, in arguments) (credential, error)
}

// A credential is what a call asks for, checked, and how to get it.
type credential struct {
	target target
	// mint gets the credential; what it returns becomes the result.
	mint func(ctx context.Context, c *call) (any, error)
}

// check says why a tool cannot be offered. One whose scope somebody forgot would
// run for everybody.
func (t *tool) check() error {
	switch {
	case t.scope == 0:
		return errors.New("it needs a scope")
	case t.prepare == nil:
		return errors.New("it has nothing to prepare")
	}
	return nil
}

func (t *tool) schema(direction string) gjson.Result {
	return gjson.GetBytes(schemas, t.name+"."+direction)
}

func (t *tool) listed() mcp.Tool {
	return mcp.Tool{
		Name: t.name, Title: t.title, Description: t.description, Annotations: t.annotations,
		InputSchema:  json.RawMessage(t.schema("input").Raw),
		OutputSchema: json.RawMessage(t.schema("output").Raw),
	}
}
