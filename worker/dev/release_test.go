package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/worker/settings"
	"mcp-credential-broker/worker/stack"
)

// readProject reads a file of the project's root as JSON, without members that v
// does not know when strict.
func readProject(t *testing.T, name string, strict bool, v any) {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	if strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestServerJSON holds server.json to what the MCP registry's schema of 2025-12-11
// asks of the members that it has.
func TestServerJSON(t *testing.T) {
	var server struct {
		Schema      string `json:"$schema"`
		Name        string `json:"name"`
		Title       string `json:"title"`
		Description string `json:"description"`
		Version     string `json:"version"`
		Remotes     []struct {
			Type, URL string
			Variables map[string]struct {
				Description, Placeholder string
				IsRequired               bool
			}
		} `json:"remotes"`
	}
	readProject(t, "server.json", true, &server)
	if server.Schema != "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json" {
		t.Errorf("schema %s", server.Schema)
	}
	if !regexp.MustCompile(`^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$`).MatchString(server.Name) || len(server.Name) < 3 || len(server.Name) > 200 {
		t.Errorf("name %q", server.Name)
	}
	for what, text := range map[string]string{"title": server.Title, "description": server.Description} {
		if len(text) < 1 || len(text) > 100 {
			t.Errorf("%s has %d characters, of 1 to 100", what, len(text))
		}
	}
	if server.Version != broker.Version {
		t.Errorf("version %s, the broker's is %s", server.Version, broker.Version)
	}
	if len(server.Remotes) != 1 {
		t.Fatalf("%d remotes", len(server.Remotes))
	}
	remote := server.Remotes[0]
	if remote.Type != "streamable-http" {
		t.Errorf("type %s", remote.Type)
	}
	for name := range remote.Variables {
		if !strings.Contains(remote.URL, "{"+name+"}") {
			t.Errorf("variable %s is not in %s", name, remote.URL)
		}
		remote.URL = strings.ReplaceAll(remote.URL, "{"+name+"}", "broker.example.com")
	}
	if u, err := url.Parse(remote.URL); err != nil || u.Scheme != "https" || u.Path != "/mcp" || strings.ContainsAny(remote.URL, "{}") {
		t.Errorf("url %s", remote.URL)
	}
}

// TestVersions: one release, one version.
func TestVersions(t *testing.T) {
	var pkg struct{ Version string }
	readProject(t, "package.json", false, &pkg)
	if pkg.Version != broker.Version {
		t.Errorf("package.json has %s, the broker %s", pkg.Version, broker.Version)
	}
	var lock struct {
		Version  string
		Packages map[string]struct{ Version string }
	}
	readProject(t, "package-lock.json", false, &lock)
	if lock.Version != broker.Version || lock.Packages[""].Version != broker.Version {
		t.Errorf("package-lock.json has %s and %s, the broker %s", lock.Version, lock.Packages[""].Version, broker.Version)
	}
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	changes, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(changes), "\n## "+broker.Version) {
		t.Errorf("CHANGELOG.md has no section for %s", broker.Version)
	}
}

// TestBillOfMaterials: every module with its licence, and the Worker's own sum.
func TestBillOfMaterials(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("Permission is hereby granted, free of charge, to any person"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := billOfMaterials([]module{{"example.com/m", "v1.2.3", dir}}, []string{"abc  app.wasm", "def  worker.mjs"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"bomFormat": "CycloneDX"`, `"purl": "pkg:golang/example.com/m@v1.2.3"`, `"id": "MIT"`, `"content": "abc"`, `"alg": "SHA-256"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	if _, err := billOfMaterials([]module{{"example.com/n", "v1", t.TempDir()}}, nil); err == nil {
		t.Error("a module without a licence was taken")
	}
}

func TestSPDX(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                "Apache-2.0",
		"Redistribution and use in source and binary forms ... Neither the name of X": "BSD-3-Clause",
		"Redistribution and use in source and binary forms ...":                       "BSD-2-Clause",
		"GNU AFFERO GENERAL PUBLIC LICENSE":                                           "",
	} {
		if got, err := spdx(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%.30q: %q, %v", text, got, err)
		}
	}
}

// TestButton: the builder of Cloudflare's deploy button runs package.json's build
// whether or not it heeds [build] of wrangler.toml, and what it asks for is
// described by its name.
func TestButton(t *testing.T) {
	var pkg struct {
		Scripts    map[string]string
		Cloudflare struct {
			Bindings map[string]struct{ Description string }
		}
	}
	readProject(t, "package.json", false, &pkg)
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := settings.Read(filepath.Join(root, "wrangler.toml"), "")
	if err != nil {
		t.Fatal(err)
	}
	asked := maps.Clone(deployed.Vars)
	secrets, err := os.ReadFile(filepath.Join(root, ".dev.vars.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=`).FindAllStringSubmatch(string(secrets), -1) {
		asked[m[1]] = ""
	}
	if pkg.Scripts["build"] != "make build" {
		t.Errorf("build is %q", pkg.Scripts["build"])
	}
	if len(asked) < 4 || len(pkg.Cloudflare.Bindings) != len(asked) {
		t.Errorf("%d are asked for, and %d described", len(asked), len(pkg.Cloudflare.Bindings))
	}
	for name := range asked {
		if pkg.Cloudflare.Bindings[name].Description == "" {
			t.Errorf("%s is not described", name)
		}
	}
}
