package policy

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

var update = flag.Bool("update", false, "write policy.schema.json anew")

// schemaOf describes the document by its Go types.
func schemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	choices := func(of ...any) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Enum: of} }
	s, err := jsonschema.For[document](&jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[Mode]():     choices(Enforce, Audit),
		reflect.TypeFor[Level]():    choices(View, Read, Write),
		reflect.TypeFor[Approve]():  choices(ApproveNone, ApproveAsk, ApproveTouch),
		reflect.TypeFor[Delivery](): choices(DeliverAny, DeliverSealed),
		reflect.TypeFor[want]():     choices(wantAllow, wantDeny, wantAsk, wantTouch),
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Policy of the MCP credential broker"
	narrow(s)
	rule := s.Properties["rules"].Items
	rule.OneOf = []*jsonschema.Schema{{Required: []string{"allow"}}, {Required: []string{"deny"}}}
	one := any(1)
	s.Properties["version"].Const = &one
	return s
}

// narrow says what the types alone do not.
func narrow(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	for name, p := range s.Properties {
		switch name {
		case "max_seconds", "duration_seconds":
			p.Minimum, p.Maximum = new(float64(leastSeconds)), new(float64(mostSeconds))
		case "tools":
			p.Items.Enum = []any{readTool, writeTool, githubTool, sshTool}
		case "tool":
			p.Enum = []any{readTool, writeTool, githubTool, sshTool}
		case "id":
			p.MinLength, p.MaxLength = new(1), new(64)
		case "aws":
			if p.Items == nil {
				p.PropertyNames = &jsonschema.Schema{Pattern: "^[A-Za-z0-9._-]{1,64}$"}
			}
		}
		if p.Items != nil && p.Items.Type == "string" {
			p.Type, p.Types, p.MinItems = "array", nil, new(1) // a nil slice is not null here
		}
		if p.Items != nil {
			p.Type, p.Types = "array", nil
		}
		narrow(p)
	}
	narrow(s.Items)
	narrow(s.AdditionalProperties)
}

// TestSchemaIsCurrent: the schema for editors is that of the types.
func TestSchemaIsCurrent(t *testing.T) {
	const file = "policy.schema.json"
	want, err := json.MarshalIndent(schemaOf(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the types say (%v): run go generate ./broker/policy", file, err)
	}
}

// TestSchemaAndCompile: the schema takes what Compile takes, and refuses what is
// wrong with the form of a document.
func TestSchemaAndCompile(t *testing.T) {
	resolved, err := schemaOf(t).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	validate := func(document string) error {
		var value any
		if err := json.Unmarshal([]byte(document), &value); err != nil {
			t.Fatal(err)
		}
		return resolved.Validate(value)
	}
	if err := validate(three); err != nil {
		t.Error(err)
	}
	for _, document := range []string{
		`[]`, `{}`, `{"version": 2, "rules": []}`, `{"version": 1, "rules": [], "x": 1}`, `{"version": 1, "rules": null}`,
		rules(`{"allow": {"ssh": true}}`), rules(`{"id": "a"}`), rules(`{"id": "a", "allow": {"ssh": true}, "deny": {"ssh": true}}`),
		rules(`{"id": "a", "allow": {"ssh": 1}}`), rules(`{"id": "a", "allow": {"aws": []}}`), rules(`{"id": "a", "allow": {"who": {"mail": ["x@y"]}}}`),
		rules(`{"id": "a", "allow": {"ssh": true}, "approve": "yes"}`), rules(`{"id": "a", "allow": {"ssh": true, "tools": ["whoami"]}}`),
		rules(`{"id": "a", "allow": {"aws": ["arn:*"]}, "max_seconds": 1}`),
	} {
		if validate(document) == nil {
			t.Errorf("the schema takes %s", document)
		}
		if _, err := Compile([]byte(document)); err == nil {
			t.Errorf("Compile takes %s", document)
		}
	}
}

// TestReaderKnowsEveryMember: what the types (and so the schema) have is read. A
// member that the reader does not know is a fault that names it.
func TestReaderKnowsEveryMember(t *testing.T) {
	for _, tt := range []struct {
		of     any
		around string
	}{
		{document{}, `{%, "version": 1, "rules": []}`},
		{Profile{}, `{"version": 1, "rules": [], "aws": {"p": {%}}}`},
		{rule{}, `{"version": 1, "rules": [{%}]}`},
		{grant{}, `{"version": 1, "rules": [{"id": "a", "allow": {%}}]}`},
		{who{}, `{"version": 1, "rules": [{"id": "a", "allow": {"who": {%}}}]}`},
		{test{}, `{"version": 1, "rules": [], "tests": [{%}]}`},
		{person{}, `{"version": 1, "rules": [], "tests": [{"who": {%}}]}`},
		{call{}, `{"version": 1, "rules": [], "tests": [{"call": {%}}]}`},
	} {
		of := reflect.TypeOf(tt.of)
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			_, err := Compile([]byte(strings.Replace(tt.around, "%", `"`+name+`": null`, 1)))
			if err == nil || strings.Contains(err.Error(), `has no member "`+name+`"`) || !strings.Contains(err.Error(), "not null") {
				t.Errorf("%v.%s is not read: %v", of, name, err)
			}
		}
	}
}
