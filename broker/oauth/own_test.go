package oauth

import (
	"context"
	"errors"
	"reflect"
	"testing"
)

const (
	ownClient     = "0190a2b4-broker"
	ownThumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

// own are the claims of a token that Vouch issued to the broker itself.
func own() change {
	return change{
		"aud": ownClient, "client_id": ownClient, "hardware_verified": true,
		"cnf": map[string]any{"jkt": ownThumbprint},
	}
}

func TestVerifyOwnAccepts(t *testing.T) {
	i := newIssuer(t, newClock())
	caller, err := i.verifier().VerifyOwn(context.Background(), i.mint(nil, own()), ownClient, ownThumbprint)
	if err != nil || caller.Subject != "0190a2b4-user" || caller.ClientID != ownClient {
		t.Errorf("got %+v, %v", caller, err)
	}
}

// TestVerifyOwnRefuses: what comes from the token endpoint is Vouch's, and still
// not taken on trust.
func TestVerifyOwnRefuses(t *testing.T) {
	i := newIssuer(t, newClock())
	now := i.clock.now().Unix()
	tests := []struct {
		name       string
		head, body change
	}{
		{"token of another client", nil, change{"aud": "other", "client_id": "other"}},
		{"issued to another client, for us", nil, change{"client_id": "other"}},
		{"narrowed to a resource", nil, change{"aud": testResource}},
		{"two audiences", nil, change{"aud": []string{ownClient, "other"}}},
		{"bound to no key", nil, change{"cnf": absent}},
		{"bound to another key", nil, change{"cnf": map[string]any{"jkt": "x" + ownThumbprint[1:]}}},
		{"bound to a certificate", nil, change{"cnf": map[string]any{"x5t#S256": ownThumbprint}}},
		{"bound in two ways", nil, change{"cnf": map[string]any{"jkt": ownThumbprint, "x5t#S256": "x"}}},
		{"bound in words", nil, change{"cnf": ownThumbprint}},
		{"thumbprint is a number", nil, change{"cnf": map[string]any{"jkt": 7}}},
		{"no hardware key", nil, change{"hardware_verified": false}},
		{"hardware key not told", nil, change{"hardware_verified": absent}},
		{"hardware key in words", nil, change{"hardware_verified": "true"}},
		{"expired", nil, change{"exp": now - 61}},
		{"another issuer", nil, change{"iss": testIssuer + "/"}},
		{"ID token", change{"typ": "JWT"}, nil},
		{"no algorithm", change{"alg": "none"}, nil},
	}
	v := i.verifier(ownClient) // the allow-list of relay mode has no say here
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := own()
			for name, value := range tt.body {
				body[name] = value
			}
			caller, err := v.VerifyOwn(context.Background(), i.mint(tt.head, body), ownClient, ownThumbprint)
			if !errors.Is(err, ErrInvalidToken) || !reflect.DeepEqual(caller, Caller{}) {
				t.Errorf("got %+v, %v", caller, err)
			}
		})
	}
	body := own()
	body["cnf"] = map[string]any{"jkt": ""}
	if _, err := v.VerifyOwn(context.Background(), i.mint(nil, body), ownClient, ""); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("no thumbprint on either side: %v", err)
	}
	if n := i.fetches(); n != 0 {
		t.Errorf("%d fetches, want none", n)
	}
}
