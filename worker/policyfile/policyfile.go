// Package policyfile reads the policy that a native host runs under: the same as
// that of a Worker which is built in the same folder.
package policyfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Name is the file's, in the project's root.
const Name = "policy.json"

// Read returns what the variable POLICY is to be: the variable itself where it is
// set, else the file in dir, else nothing. A file that is there and cannot be read
// is an error, and never no policy.
func Read(dir, variable string) (string, error) {
	if variable != "" {
		return variable, nil
	}
	document, err := os.ReadFile(filepath.Join(dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(document), err
}
