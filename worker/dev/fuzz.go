package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// runFuzz runs each fuzz target for FUZZTIME, one after the other.
func runFuzz(ctx context.Context) error {
	duration := os.Getenv("FUZZTIME")
	if duration == "" {
		duration = "20s"
	}
	out, err := exec.CommandContext(ctx, "go", "list", "./...").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		list, err := exec.CommandContext(ctx, "go", "test", "-list", "^Fuzz", pkg).Output()
		if err != nil {
			return fmt.Errorf("%s does not compile its tests: %w", pkg, err)
		}
		for target := range strings.FieldsSeq(string(list)) {
			if !strings.HasPrefix(target, "Fuzz") {
				continue
			}
			step("Fuzzing " + target + " of " + pkg)
			cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", duration, pkg)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s found something; its input is in testdata/fuzz", target)
			}
		}
	}
	return nil
}
