package vouchtest

import "github.com/golang-jwt/jwt/v5"

// MintAWSToken returns an ID token for STS with something wrong.
func (v *Vouch) MintAWSToken(role string, flaws Flaws) string {
	text, err := v.mintAWS(role, "")
	if err != nil {
		panic(err)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(text, claims); err != nil {
		panic(err)
	}
	if text, err = v.sign("RS256", "JWT", claims, flaws); err != nil {
		panic(err)
	}
	return text
}
