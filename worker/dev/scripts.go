package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"mcp-credential-broker/worker/stack"
)

// scriptFault is what is a mistake whatever the types are: syntax, an option of ours, a name, an
// import or a number of arguments that is not there. The modules have no types, so
// what the compiler guesses of those proves nothing.
var scriptFault = regexp.MustCompile(`error TS([156]\d\d\d|2304|2305|2307|2451|2552|2554|2588):`)

// checkFormat has prettier look at all JavaScript and TypeScript here, in the width
// that package.json names. What it finds, "npx prettier --write" of the file mends.
func checkFormat(ctx context.Context, root string) error {
	prettier := filepath.Join(root, "node_modules", "prettier", "bin", "prettier.cjs")
	if _, err := os.Stat(prettier); err != nil {
		return errors.New("prettier is not installed yet: run make tools first")
	}
	node, err := stack.Node(root)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, node, prettier, "--list-different", "worker/**/*.{mjs,ts}")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("not as prettier writes it; run npx prettier --write on:\n%s", out)
	}
	return nil
}

// checkScripts has the TypeScript compiler read the Worker's modules.
func checkScripts(ctx context.Context, root string) error {
	compiler := filepath.Join(root, "node_modules", "typescript", "bin", "tsc")
	if _, err := os.Stat(compiler); err != nil {
		return errors.New("typescript is not installed yet: run make tools first")
	}
	node, err := stack.Node(root)
	if err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(root, "worker", "*.mjs"))
	if err != nil || len(modules) == 0 {
		return fmt.Errorf("no modules found in worker/ (%w)", err)
	}
	arguments := append([]string{
		compiler, "--noEmit", "--allowJs", "--checkJs", "--skipLibCheck", "--pretty", "false",
		"--target", "es2024", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2024,webworker",
		filepath.Join(root, "worker", "globals.d.ts"),
	}, modules...)
	cmd := exec.CommandContext(ctx, node, arguments...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	exit := new(exec.ExitError)
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("tsc: %w", err)
	}
	if err != nil && !strings.Contains(string(out), "error TS") {
		return fmt.Errorf("tsc: %w\n%s", err, out)
	}
	var faults []string
	for _, line := range strings.Split(string(out), "\n") {
		if scriptFault.MatchString(line) && !strings.Contains(line, "wasm_exec.js") { // copied beside them by the build
			faults = append(faults, line)
		}
	}
	if len(faults) > 0 {
		return errors.New("the Worker's modules have mistakes:\n  " + strings.Join(faults, "\n  "))
	}
	return nil
}
