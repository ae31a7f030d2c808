package broker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"mcp-credential-broker/broker/grant"
)

// logWarning writes one line at the start about what is wrong and was ignored.
func (b *Broker) logWarning(warning string) {
	b.log(struct {
		Event   string    `json:"event"`
		Time    time.Time `json:"time"`
		Warning string    `json:"warning"`
	}{"start", b.env.Now().UTC(), warning})
}

// logRefusal writes one line about a request that had no valid token. It is not
// a tool call, but an operator who looks for a 401 needs the reason.
func (b *Broker) logRefusal(requestID string, status int, err error) {
	b.log(struct {
		Event     string    `json:"event"`
		Time      time.Time `json:"time"`
		RequestID string    `json:"request_id"`
		Status    int       `json:"status"`
		Reason    string    `json:"reason"`
	}{"token_refused", b.env.Now().UTC(), requestID, status, err.Error()})
}

// logRefusedBy writes one line about a request that an invalid policy stops. It
// tells where the policy's faults are: by line and column.
func (b *Broker) logRefusedBy(who grant.Caller, fault error) {
	b.log(struct {
		Event     string    `json:"event"`
		Time      time.Time `json:"time"`
		RequestID string    `json:"request_id"`
		Subject   string    `json:"sub"`
		ClientID  string    `json:"client_id"`
		Status    int       `json:"status"`
		Reason    string    `json:"reason"`
	}{"policy_invalid", b.env.Now().UTC(), who.RequestID, who.Subject, who.ClientID, http.StatusServiceUnavailable, fault.Error()})
}

// LogPanic writes one line about a panic that a host has recovered from, with the
// stack. Only the runtime's own panics are told: another's value could hold what a
// client sent.
func (b *Broker) LogPanic(requestID string, value any, stack []byte) {
	what := fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		what = err.Error()
	}
	b.log(struct {
		Event     string    `json:"event"`
		Time      time.Time `json:"time"`
		RequestID string    `json:"request_id,omitempty"`
		Reason    string    `json:"reason"`
		Stack     string    `json:"stack"`
	}{"panic", b.env.Now().UTC(), requestID, what, string(stack)})
}

// log writes a line of the audit, as JSON without the escapes for HTML.
func (b *Broker) log(line any) {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(line); err != nil {
		panic("value that JSON cannot hold: " + err.Error())
	}
	b.env.Log(strings.TrimSuffix(text.String(), "\n"))
}
