package p256

import (
	"encoding/json"
	"fmt"
)

// A Header is the protected header of a JWS (RFC 7515 section 4.1). alg is
// always ES256.
type Header struct {
	Type  string // typ
	KeyID string // kid
	JWK   *JWK   // jwk
}

// JWS returns claims, encoded as JSON, in a compact JWS (RFC 7515 section 7.1).
//
// Errors: those of Sign, and of encoding/json if claims is not a JSON value.
func (k *Key) JWS(h Header, claims any) (string, error) {
	header, err := json.Marshal(struct {
		Type      string `json:"typ,omitempty"`
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid,omitempty"`
		JWK       *JWK   `json:"jwk,omitempty"`
	}{h.Type, algorithm, h.KeyID, h.JWK})
	if err != nil {
		return "", fmt.Errorf("JWS header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("JWS payload: %w", err)
	}
	input := encode(header) + "." + encode(payload)
	signature, err := k.Sign(input)
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}
