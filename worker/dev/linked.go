package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mcp-credential-broker/worker/stack"
)

// linkedFile lists the packages of which the linker keeps something in the Wasm
// build, so that a change of what ships is seen in a review.
const linkedFile = "worker/linked.txt"

// linkedPackages returns the packages in a dependency dump, sorted.
func linkedPackages(edges []string) []string {
	seen := map[string]bool{}
	for _, edge := range edges {
		from, _, ok := strings.Cut(edge, " -> ")
		if !ok || strings.Contains(from, ":") { // type:, go:, gcargs: and the like are of no package
			continue
		}
		if name := packageOf(from); name != "" {
			seen[name] = true
		}
	}
	var packages []string
	for name := range seen {
		packages = append(packages, name)
	}
	slices.Sort(packages)
	return packages
}

// packageOf returns the package of a symbol such as "net/http.(*Request).Context",
// or nothing for one that is the linker's own.
func packageOf(symbol string) string {
	end := strings.IndexAny(symbol, "([ ")
	if end < 0 {
		end = len(symbol)
	}
	slash := strings.LastIndexByte(symbol[:end], '/') + 1
	dot := strings.IndexByte(symbol[slash:end], '.')
	if dot <= 0 {
		return ""
	}
	return strings.ReplaceAll(symbol[:slash+dot], "%2e", ".")
}

// runLinked writes the list anew.
func runLinked(ctx context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	edges, err := dependencies(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(linkedFile, []byte(strings.Join(linkedPackages(edges), "\n")+"\n"), 0o644)
}

// compareLinked finds packages that came or went since the list was written.
func compareLinked(edges []string) error {
	text, err := os.ReadFile(linkedFile)
	if err != nil {
		return err
	}
	listed, found := strings.Fields(string(text)), linkedPackages(edges)
	var changes []string
	for _, name := range found {
		if !slices.Contains(listed, name) {
			changes = append(changes, "+ "+name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(found, name) {
			changes = append(changes, "- "+name)
		}
	}
	if len(changes) > 0 {
		return fmt.Errorf("what is linked into the Worker has changed; if that is meant, run make linked and say why in the commit:\n  %s", strings.Join(changes, "\n  "))
	}
	return nil
}

// A module is one that is linked into the Worker.
type module struct{ Path, Version, Dir string }

// linkedModules returns the modules whose packages the Worker imports, without the
// project's own.
func linkedModules(ctx context.Context) ([]module, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Module", "./worker")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var modules []module
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p struct {
			Module *struct {
				module
				Main bool
			}
		}
		if err := decoder.Decode(&p); err != nil {
			return nil, err
		}
		if p.Module != nil && !p.Module.Main && !slices.Contains(modules, p.Module.module) {
			modules = append(modules, p.Module.module)
		}
	}
	if len(modules) == 0 {
		return nil, errors.New("go list named no module")
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}

// licence returns the text of a module's licence and its SPDX id.
func (m module) licence() (id, text string, err error) {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"} {
		content, err := os.ReadFile(filepath.Join(m.Dir, name))
		if err != nil {
			continue
		}
		id, err := spdx(string(content))
		return id, string(content), err
	}
	return "", "", fmt.Errorf("%s has no licence file", m.Path)
}

// spdx recognises the licences that may be linked. Another one needs a person.
func spdx(text string) (string, error) {
	flat := strings.Join(strings.Fields(text), " ")
	switch {
	case strings.Contains(flat, "Apache License Version 2.0"):
		return "Apache-2.0", nil
	case strings.Contains(flat, "Redistribution and use in source and binary forms") && strings.Contains(flat, "Neither the name of"):
		return "BSD-3-Clause", nil
	case strings.Contains(flat, "Redistribution and use in source and binary forms"):
		return "BSD-2-Clause", nil
	case strings.Contains(flat, "Permission is hereby granted, free of charge"):
		return "MIT", nil
	}
	return "", errors.New("a licence that is not known here: have somebody read it, then add it")
}

// goModule is the standard library and runtime, which are linked too, and whose
// wasm_exec.js lies beside the Worker.
func goModule(ctx context.Context) (module, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	lines := strings.Fields(string(out))
	if err != nil || len(lines) != 2 {
		return module{}, fmt.Errorf("go env: %w", err)
	}
	return module{Path: "std", Version: strings.TrimPrefix(lines[1], "go"), Dir: lines[0]}, nil
}

// shipped returns all modules that ship, the standard library first.
func shipped(ctx context.Context) ([]module, error) {
	std, err := goModule(ctx)
	if err != nil {
		return nil, err
	}
	modules, err := linkedModules(ctx)
	return append([]module{std}, modules...), err
}

// runLicences prints what the licences of all that is linked ask to be shown.
func runLicences(ctx context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	modules, err := shipped(ctx)
	if err != nil {
		return err
	}
	for _, m := range modules {
		id, text, err := m.licence()
		if err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
		fmt.Printf("==== %s %s (%s)\n\n%s\n", m.Path, m.Version, id, strings.TrimSpace(text))
	}
	return nil
}
