package broker

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/mcp"
)

const instructions = "Hands out short-lived credentials for the signed-in person: AWS temporary credentials, " +
	"GitHub installation tokens and SSH certificates. Ask for one only when the task needs it, do not repeat secrets " +
	"in your answers, and ask again when one has expired."

//go:embed schemas.json
var schemas []byte // the input and output schema of each tool, by its name

// tools are the three tools, in the order in which they are listed.
func (b *Broker) tools() []mcp.Tool {
	return []mcp.Tool{
		b.tool("get-aws-credentials", "AWS temporary credentials",
			"Get temporary AWS credentials for an IAM role that trusts Vouch. The result is a valid credential_process answer; "+
				"pass its values as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.", b.getAWSCredentials),
		b.tool("get-github-token", "GitHub installation token",
			"Get a GitHub installation access token, valid for about one hour. "+
				"For git over https, use it as the password of the user x-access-token.", b.getGitHubToken),
		b.tool("get-ssh-certificate", "SSH certificate",
			"Have an SSH public key signed by Vouch's certificate authority. "+
				"Save the certificate beside the private key as <key>-cert.pub. Never send a private key.", b.getSSHCertificate),
	}
}

// tool wraps one tool's work with its schemas, its audit line and its error form.
func (b *Broker) tool(name, title, description string, run func(context.Context, *call) (any, error)) mcp.Tool {
	schema := gjson.GetBytes(schemas, name)
	return mcp.Tool{
		Name: name, Title: title, Description: description,
		InputSchema:  json.RawMessage(schema.Get("input").Raw),
		OutputSchema: json.RawMessage(schema.Get("output").Raw),
		// It mints a credential, so it is not read-only: claiming that would invite approval without asking.
		Annotations: mcp.Annotations{OpenWorldHint: true},
		Call: func(ctx context.Context, in mcp.Call) mcp.Result {
			at, _ := ctx.Value(visitKey{}).(visit)
			c := &call{broker: b, record: newRecord(b.env.Now(), at, name, in)}
			c.visit = at
			defer func() { b.log(c.record) }() // even when run panics
			result, err := c.run(ctx, name, in, schema.Get("input.properties"), run)
			if err != nil {
				f := c.explain(err)
				c.record.fail(f, err)
				if challenge := b.deadToken(at, err); challenge != "" {
					return mcp.Result{Challenge: challenge}
				}
				return mcp.Result{Structured: mustJSON(f), IsError: true}
			}
			c.record.Outcome, c.record.Status = "issued", http.StatusOK
			return mcp.Result{Structured: mustJSON(result)}
		},
	}
}

// A call is one tool call on its way.
type call struct {
	broker    *Broker
	visit     visit
	arguments map[string]gjson.Result
	record    *record
}

func (c *call) run(ctx context.Context, tool string, in mcp.Call, known gjson.Result, run func(context.Context, *call) (any, error)) (any, error) {
	if c.broker.config.signsIn() && !c.visit.granted.Has(toolScopes[tool]) {
		return nil, errDeclined
	}
	arguments, err := parseArguments(in.Arguments, known)
	if err != nil {
		return nil, err
	}
	c.arguments = arguments
	return run(ctx, c)
}

// parseArguments takes apart a JSON object whose members must be among known's.
func parseArguments(object json.RawMessage, known gjson.Result) (map[string]gjson.Result, error) {
	arguments := map[string]gjson.Result{}
	var err error
	gjson.ParseBytes(object).ForEach(func(key, value gjson.Result) bool {
		name := key.String()
		_, twice := arguments[name]
		switch {
		case !known.Get(gjson.Escape(name)).Exists():
			err = invalid("there is no argument %s; known are %s", quoteName(name), names(known))
		case twice:
			err = invalid("the argument %s was given twice", name)
		case value.Type != gjson.Null: // null is "not given" to many clients
			arguments[name] = value
		}
		return err == nil
	})
	return arguments, err
}

// quoteName repeats an argument's name if it looks like one. Something else may
// be a secret that slipped into the wrong place.
func quoteName(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if len(name) > 24 || strings.Trim(name, letters) != "" {
		return "of that name"
	}
	return fmt.Sprintf("%q", name)
}

func names(object gjson.Result) string {
	var all []string
	object.ForEach(func(key, _ gjson.Result) bool {
		all = append(all, key.String())
		return true
	})
	return strings.Join(all, ", ")
}

// text returns a string argument, or "" when it was not given.
func (c *call) text(name string) (string, error) {
	value, given := c.arguments[name]
	if given && value.Type != gjson.String {
		return "", invalid("%s must be a string", name)
	}
	return value.String(), nil
}

// whole returns an integer argument, or 0 when it was not given. As in JSON
// Schema, 3600.0 is an integer.
func (c *call) whole(name string, least, most int) (int, error) {
	value, given := c.arguments[name]
	if !given {
		return 0, nil
	}
	n := value.Float()
	if value.Type != gjson.Number || n != float64(int(n)) || n < float64(least) || n > float64(most) {
		return 0, invalid("%s must be a whole number from %d to %d", name, least, most)
	}
	return int(n), nil
}

// texts returns an argument that is a list of strings, or nil.
func (c *call) texts(name string) ([]string, error) {
	value, given := c.arguments[name]
	if !given {
		return nil, nil
	}
	if !value.IsArray() {
		return nil, invalid("%s must be a list of strings", name)
	}
	all := []string{} // an empty list is not "not given", which asks for everything
	for _, item := range value.Array() {
		if item.Type != gjson.String {
			return nil, invalid("%s must be a list of strings", name)
		}
		all = append(all, item.String())
	}
	return all, nil
}

// hop makes one upstream call, named and timed for the audit. A hop that mints
// is not cancelled when the client hangs up: what was issued is to be audited.
func (c *call) hop(ctx context.Context, to hopName, mints bool, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return hopError{to, err}
	}
	if mints {
		ctx = context.WithoutCancel(ctx)
	}
	start := c.broker.env.Now()
	err := do(ctx)
	c.record.Hops = append(c.record.Hops, hopRecord{to, c.broker.env.Now().Sub(start).Milliseconds()})
	if err != nil {
		return hopError{to, err}
	}
	return nil
}

func mustJSON(v any) json.RawMessage {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("value that JSON cannot hold: " + err.Error())
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n"))
}
