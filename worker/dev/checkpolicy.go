package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"mcp-credential-broker/broker/policy"
)

const (
	policyFile  = "policy.json"
	examplePath = "policy.example.json"
)

// runCheckPolicy tells what is wrong with the policy in FILE, and what may
// surprise in a valid one.
func runCheckPolicy(context.Context) error {
	file := os.Getenv("FILE")
	if file == "" {
		file = policyFile
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			file = examplePath
			fmt.Printf("There is no %s, so this checks %s: copy it to %s to begin (FILE=... checks another).\n", policyFile, examplePath, policyFile)
		}
	}
	return checkPolicy(os.Stdout, file)
}

func checkPolicy(out io.Writer, file string) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the policy cannot be read: %w", err)
	}
	p, err := policy.Compile(document)
	if faults := policy.Faults(err); len(faults) > 0 {
		for _, fault := range faults {
			fmt.Fprintf(out, "%s:%v\n", file, fault)
		}
		return fmt.Errorf("%s has %s: mend what is listed above, for a Worker with this policy answers 503", file, count(len(faults), "fault"))
	}
	if err != nil {
		return err
	}
	for _, warning := range policy.Warnings(document) {
		fmt.Fprintf(out, "%s:%d:%d: warning: %s\n", file, warning.Line, warning.Column, warning.Problem)
	}
	var has struct {
		AWS          map[string]json.RawMessage
		Rules, Tests []json.RawMessage
	}
	if err := json.Unmarshal(document, &has); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is valid: mode %s, %s, %s, %s passed, id %s\n", file, p.Mode(),
		count(len(has.Rules), "rule"), count(len(has.AWS), "profile"), count(len(has.Tests), "test"), p.ID())
	if len(has.Tests) == 0 {
		fmt.Fprintln(out, "It has no tests: add some, so that a later change cannot open what this one closes.")
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
