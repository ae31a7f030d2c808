package authserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzRegisteredClient: a client id that is taken is the one spelling of what it
// says, and says only what a registration may.
func FuzzRegisteredClient(f *testing.F) {
	for _, r := range []registration{
		{"Test App", []string{"https://app.example/cb"}},
		{"", []string{"http://127.0.0.1/", cursorURI}},
		{"<&>", []string{"javascript:alert(1)"}},
		{" x ", []string{"https://app.example/cb"}},
	} {
		f.Add(r.id())
	}
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"redirect_uris":["https://app.example/cb"],"client_name":"x"}`)))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"client_name":"x","redirect_uris":["https://app.example/cb"],"x":1}`)))
	f.Add(base64.URLEncoding.EncodeToString([]byte(`{"redirect_uris":["https://app.example/cb"]}`)))
	f.Fuzz(func(t *testing.T, id string) {
		got, err := registeredClient(id)
		if err != nil {
			return
		}
		data, err := base64.RawURLEncoding.Strict().DecodeString(id)
		var r registration
		if err != nil || json.Unmarshal(data, &r) != nil || r.id() != id || len(id) > maxClientIDBytes || isDocumentURL(id) {
			t.Fatalf("%q is taken", id)
		}
		if !reflect.DeepEqual(got.redirectURIs, r.RedirectURIs) || len(r.RedirectURIs) == 0 || got.name == "" || got.host != "" {
			t.Errorf("%q is read as %+v", id, got)
		}
		for _, uri := range got.redirectURIs {
			if fault := redirectFault(uri); fault != "" {
				t.Errorf("%q has the redirect URI %q: %s", id, uri, fault)
			}
		}
	})
}

// TestRegisteredClientSpellings: other spellings of a good id are none.
func TestRegisteredClientSpellings(t *testing.T) {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	good := encode(`{"client_name":"x","redirect_uris":["https://app.example/cb"]}`)
	if _, err := registeredClient(good); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]string{
		"other order":       encode(`{"redirect_uris":["https://app.example/cb"],"client_name":"x"}`),
		"blank":             encode(`{"client_name":"x", "redirect_uris":["https://app.example/cb"]}`),
		"more members":      encode(`{"client_name":"x","redirect_uris":["https://app.example/cb"],"scope":"aws"}`),
		"name not clean":    encode(`{"client_name":"x ","redirect_uris":["https://app.example/cb"]}`),
		"javascript":        encode(`{"client_name":"x","redirect_uris":["javascript:alert(1)"]}`),
		"http":              encode(`{"client_name":"x","redirect_uris":["http://app.example/cb"]}`),
		"scheme of scripts": encode(`{"client_name":"x","redirect_uris":["data:text/html,x"]}`),
		"name with a tick":  encode(`{"client_name":"x ✓","redirect_uris":["https://app.example/cb"]}`),
		"no redirect URIs":  encode(`{"client_name":"x","redirect_uris":[]}`),
		"padding":           good + "=",
		"line break inside": good[:8] + "\n" + good[8:],
		"too long":          registration{"x", []string{"https://app.example/" + strings.Repeat("x", 490), "https://app.example/" + strings.Repeat("y", 490), "https://app.example/" + strings.Repeat("z", 490)}}.id(),
	} {
		if _, err := registeredClient(id); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzReadDocument: a document that is taken says so to encoding/json too.
func FuzzReadDocument(f *testing.F) {
	const id = "https://app.example/client.json"
	f.Add([]byte(`{"client_id":"` + id + `","client_name":"x","redirect_uris":["https://app.example/cb"]}`))
	f.Add([]byte(`{"client_id":"` + id + `","client_name":"x","redirect_uris":[],"grant_types":null}`))
	f.Add([]byte(`{"client_id":"` + id + `","client_name":"x","redirect_uris":["a"],"jwks":{"keys":[{"\u0064":1}]}}`))
	f.Add([]byte(`{"client_id":"` + id + `","client_\u006eame":"x","client_name":"y","redirect_uris":["a"]}`))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readDocument(data, id)
		if err != nil {
			return
		}
		var got map[string]json.RawMessage
		var clientID string
		var uris []string
		if json.Unmarshal(data, &got) != nil || json.Unmarshal(got["client_id"], &clientID) != nil || json.Unmarshal(got["redirect_uris"], &uris) != nil {
			t.Fatalf("%q is taken", data)
		}
		if clientID != id || len(uris) != len(r.RedirectURIs) || r.Name == "" || got["client_secret"] != nil && string(got["client_secret"]) != "null" {
			t.Errorf("%q is read as %+v", data, r)
		}
	})
}

// FuzzDecode: a payload that decodes encodes to itself, whatever it is.
func FuzzDecode(f *testing.F) {
	r := request{clientName: "Test App", redirectURI: "https://app.example/cb", state: "s", asked: AllScopes}
	form := consentForm{request: r}
	tx := transaction{request: r, granted: ScopeAWS, trip: trip{id: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}
	c := code{vouchCode: "v", clientName: "Test App", asked: AllScopes, granted: ScopeSSH}
	f.Add(form.encode())
	f.Add(tx.encode())
	f.Add(c.encode())
	f.Add((&approvalTrip{trip: tx.trip}).encode())
	f.Add([]byte{payloadVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{payloadVersion, 0x80, 0x00})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var form consentForm
		var tx transaction
		var c code
		var a approvalTrip
		check := func(kind string, err error, again []byte) {
			// A length may be written longer than it need be; nobody but us writes one.
			if err == nil && (len(again) > len(data) || len(again) == len(data) && !bytes.Equal(again, data)) {
				t.Errorf("%s: %x becomes %x", kind, data, again)
			}
		}
		check("consent form", form.decode(data), form.encode())
		check("transaction", tx.decode(data), tx.encode())
		check("code", c.decode(data), c.encode())
		check("approval", a.decode(data), a.encode())
		if held, err := decodeAccessToken(data); err == nil && held.Subject == "" {
			t.Errorf("an access token without subject: %x", data)
		}
	})
}

// TestDecodeRefuses: nothing is read from a payload that is cut, has more, or is
// of another version or with scopes that do not exist.
func TestDecodeRefuses(t *testing.T) {
	tx := transaction{request: request{clientName: "x", redirectURI: "y", asked: AllScopes}, granted: ScopeAWS, trip: trip{id: "z", pushed: time.Unix(7, 0)}}
	data := tx.encode()
	var got transaction
	if err := got.decode(data); err != nil || got != tx {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range data {
		if got.decode(data[:i]) == nil {
			t.Errorf("decodes when cut at %d", i)
		}
	}
	if got.decode(append(data[:len(data):len(data)], 0)) == nil {
		t.Error("decodes with more")
	}
	data[0]++
	if got.decode(data) == nil {
		t.Error("another version decodes")
	}
	tx.granted = AllScopes + 1
	if got.decode(tx.encode()) == nil {
		t.Error("an unknown scope decodes")
	}
}

func TestScopes(t *testing.T) {
	for text, want := range map[string]string{"": "", "ssh aws": "aws ssh", "aws aws openid": "aws", "AWS aws,ssh": "", "github\tssh": "github ssh"} {
		if got := ParseScopes(text).String(); got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
	if !AllScopes.Has(ScopeAWS) || ScopeAWS.Has(ScopeAWS|ScopeSSH) || !ScopeAWS.Has(0) {
		t.Error("Has is wrong")
	}
}
