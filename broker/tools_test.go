package broker_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"mcp-credential-broker/broker/vouchtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// list returns the result of tools/list.
func list(t *testing.T) json.RawMessage {
	t.Helper()
	return newBench(t, vouchtest.Options{}, nil).post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
}

// TestToolsList holds the lists to golden files: clients cache them, and models read
// them, so that no change goes unnoticed. Relay mode without a policy is the published
// guide, sign-in mode has all seven tools.
func TestToolsList(t *testing.T) {
	b := newSignInBench(t)
	_, text := post(t, b.url, b.signIn(t), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	var answer struct{ Result json.RawMessage }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string]json.RawMessage{"tools-list.json": list(t), "tools-list-sign-in.json": answer.Result} {
		var got bytes.Buffer
		if err := json.Indent(&got, list, "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("the list is not that of %s; if it should change, run go test ./broker -update\n%s", path, got.Bytes())
		}
	}
}

// outputSchemas returns the output schema of each tool, as a validator of JSON
// Schema 2020-12 understands it.
func outputSchemas(t *testing.T) map[string]*jsonschema.Resolved {
	t.Helper()
	var result struct {
		Tools []struct {
			Name                      string
			InputSchema, OutputSchema *jsonschema.Schema
		}
	}
	if err := json.Unmarshal(list(t), &result); err != nil {
		t.Fatal(err)
	}
	outputs := map[string]*jsonschema.Resolved{}
	for _, tool := range result.Tools {
		if _, err := tool.InputSchema.Resolve(nil); err != nil {
			t.Errorf("input schema of %s: %v", tool.Name, err)
		}
		output, err := tool.OutputSchema.Resolve(nil)
		if err != nil {
			t.Fatalf("output schema of %s: %v", tool.Name, err)
		}
		outputs[tool.Name] = output
	}
	return outputs
}
