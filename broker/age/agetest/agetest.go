// Package agetest plays the person to whom something was sealed: with the reference
// implementation, and with the program that people have.
package agetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// NewIdentity returns a new key.
func NewIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// Open opens an armored file with the reference implementation.
func Open(file string, identity age.Identity) (string, error) {
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(file)), identity)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// OpenByProgram opens an armored file with the program age. Where it is not
// installed Open does, unless REQUIRE_AGE says that it must be there, as in CI.
func OpenByProgram(t testing.TB, file string, identity *age.X25519Identity) (string, error) {
	t.Helper()
	program, err := exec.LookPath("age")
	switch {
	case err == nil:
	case os.Getenv("REQUIRE_AGE") != "":
		return "", err
	default:
		return Open(file, identity)
	}
	folder := t.TempDir()
	key, sealed := filepath.Join(folder, "key.txt"), filepath.Join(folder, "answer.age")
	if err := errors.Join(os.WriteFile(key, []byte(identity.String()+"\n"), 0o600), os.WriteFile(sealed, []byte(file), 0o600)); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(t.Context(), program, "-d", "-i", key, sealed)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	opened, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("age: %w: %s", err, stderr.Bytes())
	}
	return string(opened), nil
}

// MustOpen opens an armored file with the reference implementation and the program,
// which must agree.
func MustOpen(t testing.TB, file string, identity *age.X25519Identity) string {
	t.Helper()
	text, err := Open(file, identity)
	if err != nil {
		t.Fatalf("%v: %s", err, file)
	}
	if byProgram, err := OpenByProgram(t, file, identity); err != nil || byProgram != text {
		t.Errorf("the program opens %d of %d bytes, %v", len(byProgram), len(text), err)
	}
	return text
}
