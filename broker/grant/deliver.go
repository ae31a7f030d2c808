package grant

import (
	"bytes"
	"encoding/json"
	"errors"

	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/secret"
)

var (
	errForm  = errors.New("credential cannot be written in the format that was asked for")
	errSeal  = errors.New("credential could not be sealed")
	errNaked = errors.New("credential was to leave unsealed against its rule")
)

// A minted credential, in each form in which it can leave.
type minted struct {
	// whole is the JSON object of the tool's answer, secrets and all.
	whole any
	// bare returns the same object without a secret, with what was delivered in
	// place of them.
	bare func(delivery) any
	// text writes it in a format that is not JSON.
	text func(format.Name) (secret.String, error)
}

// A delivery is where the secrets of an answer are that does not have them as
// members of its own.
type delivery struct {
	// Formatted is the credential in the format that was asked for, as in the text.
	Formatted string `json:"formatted,omitempty"`
	// Sealed is an armored age file of exactly what would have been the text, for
	// SealedTo alone.
	Sealed   string `json:"sealed,omitempty"`
	SealedTo string `json:"sealed_to,omitempty"`
}

// render puts what was minted into the form that the call asked for. It is the one
// place where a secret enters a result, and what is to be sealed enters it sealed
// or not at all.
func (c *call) render(m minted) (mcp.Result, error) {
	recipient := c.options.sealTo
	sealed := recipient.String() != ""
	if c.decision.Sealed && !sealed {
		return mcp.Result{}, errNaked
	}
	if c.options.format == format.JSON && !sealed {
		return mcp.Result{Structured: m.whole}, nil
	}
	text, err := m.written(c.options.format)
	if err != nil {
		return mcp.Result{}, errors.Join(errForm, err)
	}
	if !sealed {
		return mcp.Result{Structured: m.bare(delivery{Formatted: text.Reveal()}), Text: text.Reveal()}, nil
	}
	file, err := recipient.Seal([]byte(text.Reveal()))
	if err != nil {
		return mcp.Result{}, errors.Join(errSeal, err)
	}
	return mcp.Result{Structured: m.bare(delivery{Sealed: file, SealedTo: recipient.String()}), Text: file}, nil
}

// written is the credential in a format. JSON is as a model would have read it.
func (m minted) written(name format.Name) (secret.String, error) {
	if name != format.JSON {
		return m.text(name)
	}
	var plain, indented bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(m.whole); err != nil {
		return secret.String{}, errForm // its own words could hold a value
	}
	if err := json.Indent(&indented, bytes.TrimSpace(plain.Bytes()), "", "  "); err != nil {
		return secret.String{}, errForm
	}
	return secret.New(indented.String()), nil
}
