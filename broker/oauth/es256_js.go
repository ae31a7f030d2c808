package oauth

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// verifyNatively leaves Go's verifier out of the upload: every JavaScript host has
// one of its own, at a tenth of the time.
func verifyNatively(string, []byte, *Key) error {
	return errors.Join(jwt.ErrTokenUnverifiable, errors.New("the host has registered no verifier"))
}
