package grant

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goldenLines are the lines of the golden file.
func goldenLines(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "audit.golden"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "{") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// jq runs a program of docs/audit.md.
func jq(t *testing.T, input string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command("jq", arguments...)
	var out, problem bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &problem
	if err := cmd.Run(); err != nil {
		t.Fatalf("jq %s: %v: %s", arguments, err, problem.String())
	}
	return out.String()
}

// documentedAudit is docs/audit.md.
func documentedAudit(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		if os.Getenv("REQUIRE_READERS") != "" {
			t.Fatal(err)
		}
		t.Skip("jq is not installed")
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestDocumentedQueries runs each query over the golden file's lines, as wrangler tail
// wraps them, among others that are no JSON.
func TestDocumentedQueries(t *testing.T) {
	page := documentedAudit(t)
	var tail bytes.Buffer
	for _, line := range append(goldenLines(t), "words", `{"event":"panic","time":"2026-11-25T12:00:00Z","request_id":"ray","reason":"x"}`) {
		event, err := json.Marshal(map[string]any{"outcome": "ok", "logs": []any{map[string]any{"level": "log", "message": []string{line}}}})
		if err != nil {
			t.Fatal(err)
		}
		tail.Write(append(event, '\n'))
	}
	_, block, _ := strings.Cut(page, "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	wants := []string{
		`"error":"closed until Monday"`, `"approved_by":"0192f0c1","issued":{"access_key_id":`, `"sub":"0192f0c1","email":"ada@example.com"`,
		"ada@example.com\tget-ssh-certificate\tnobody\n", `"request_id":"ray"`,
	}
	for line := range strings.Lines(block) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cmd := exec.Command("sh", "-c", line)
		cmd.Stdin = bytes.NewReader(tail.Bytes())
		out, err := cmd.Output()
		if err != nil || len(wants) == 0 || !strings.Contains(string(out), wants[0]) {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		wants = wants[1:]
	}
	if len(wants) > 0 {
		t.Errorf("%d queries are missing", len(wants))
	}
}

// TestOCSF: what the documented program makes of each decision has what the class
// requires, and tells success from failure.
func TestOCSF(t *testing.T) {
	_, program, _ := strings.Cut(documentedAudit(t), "```jq\n")
	program, _, _ = strings.Cut(program, "```")
	events := json.NewDecoder(strings.NewReader(jq(t, strings.Join(goldenLines(t), "\n"), "-c", "select(.decision) | ., ("+program+")")))
	decisions := 0
	for events.More() {
		var line record
		var event struct {
			Category int   `json:"category_uid"`
			Class    int   `json:"class_uid"`
			Activity int   `json:"activity_id"`
			Type     int   `json:"type_uid"`
			Severity int   `json:"severity_id"`
			Time     int64 `json:"time"`
			Metadata struct {
				Version string
				Product struct{ Name string }
			}
			User    struct{ UID string }
			Session struct {
				Credential *string `json:"credential_uid"`
			}
			Privileges []string
			Status     int `json:"status_id"`
		}
		if events.Decode(&line) != nil || events.Decode(&event) != nil {
			t.Fatal("the program's output cannot be read")
		}
		at, err := time.Parse(time.RFC3339, line.Time)
		if err != nil {
			t.Error(err)
		}
		decisions++
		issued := line.Outcome == "issued"
		if event.Category != 3 || event.Class != 3003 || event.Type != event.Class*100+event.Activity {
			t.Errorf("category %d, class %d, type %d; want 3, 3003 and the activity %d of it", event.Category, event.Class, event.Type, event.Activity)
		}
		if event.Severity == 0 || event.Metadata.Version == "" || event.Metadata.Product.Name == "" {
			t.Errorf("what OCSF demands of each event is missing: %+v", event)
		}
		if event.Time != at.UnixMilli() || event.User.UID != line.Subject || event.Privileges[0] != line.Tool {
			t.Errorf("%+v became %+v: another time, person or tool", line, event)
		}
		if (event.Status == 1) != issued || (event.Session.Credential != nil) != issued {
			t.Errorf("%+v became %+v: of what was issued (%v)", line, event, issued)
		}
	}
	if decisions < 50 {
		t.Errorf("only %d decisions", decisions)
	}
}
