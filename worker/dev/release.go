package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/worker/stack"
)

// runRelease builds the committed tree in two places, compares them byte for byte,
// and puts the build, its checksums and its bill of materials into dist/.
func runRelease(ctx context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain").Output()
	if err != nil {
		return fmt.Errorf("a release is made from a git checkout: %w", err)
	}
	if len(changed) > 0 {
		return fmt.Errorf("a release is made of a commit, and these files are not in it:\n%s", changed)
	}
	step("Building once more in another folder, with an empty cache")
	other, err := os.MkdirTemp("", "release-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(other)
	if out, err := exec.CommandContext(ctx, "git", "clone", "--quiet", root, filepath.Join(other, "tree")).CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, "make", "build")
	cmd.Dir = filepath.Join(other, "tree")
	cmd.Env = append(os.Environ(), "GOCACHE="+filepath.Join(other, "cache"), "MAKEFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the second build failed: %w\n%s", err, out)
	}
	step("Comparing the two")
	sums, err := checksums("build")
	if err != nil {
		return err
	}
	again, err := checksums(filepath.Join(cmd.Dir, "build"))
	if err != nil {
		return err
	}
	if !slices.Equal(sums, again) {
		return fmt.Errorf("the two builds differ, so nobody could check a release:\n%s\n\n%s", strings.Join(sums, "\n"), strings.Join(again, "\n"))
	}
	modules, err := shipped(ctx)
	if err != nil {
		return err
	}
	bill, err := billOfMaterials(modules, sums)
	if err != nil {
		return err
	}
	return writeRelease(sums, bill)
}

// checksums returns a line for each file of a build, as sha256sum writes them.
func checksums(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, entry := range entries {
		if entry.IsDir() {
			continue // builds for tests
		}
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%x  %s", sha256.Sum256(content), entry.Name()))
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(line, "  app.wasm") }) {
		return nil, errors.New("there is no app.wasm in " + dir)
	}
	return lines, nil
}

// writeRelease puts everything into dist/, made anew.
func writeRelease(sums []string, bill []byte) error {
	if err := errors.Join(os.RemoveAll("dist"), os.Mkdir("dist", 0o755)); err != nil {
		return err
	}
	for _, line := range sums {
		_, name, _ := strings.Cut(line, "  ")
		content, err := os.ReadFile(filepath.Join("build", name))
		if err == nil {
			err = os.WriteFile(filepath.Join("dist", name), content, 0o644)
		}
		if err != nil {
			return err
		}
	}
	sums = append(slices.Clone(sums), fmt.Sprintf("%x  sbom.cdx.json", sha256.Sum256(bill)))
	err := errors.Join(
		os.WriteFile("dist/sbom.cdx.json", bill, 0o644),
		os.WriteFile("dist/SHA256SUMS", []byte(strings.Join(sums, "\n")+"\n"), 0o644))
	if err == nil {
		fmt.Printf("Version %s is in dist/: both builds are the same.\n%s\n", broker.Version, strings.Join(sums, "\n"))
	}
	return err
}

type (
	billHash    struct{ Alg, Content string }
	billLicence struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	billComponent struct {
		Type     string        `json:"type"`
		Name     string        `json:"name"`
		Version  string        `json:"version"`
		PURL     string        `json:"purl,omitempty"`
		Hashes   []billHash    `json:"hashes,omitempty"`
		Licences []billLicence `json:"licenses"`
	}
)

// MarshalJSON implements json.Marshaler.
func (h billHash) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"alg": h.Alg, "content": h.Content})
}

// billOfMaterials is a CycloneDX 1.6 document of what is linked. It holds neither
// time nor serial number, so that it is reproducible too.
func billOfMaterials(modules []module, sums []string) ([]byte, error) {
	licence := func(id string) []billLicence {
		var l billLicence
		l.License.ID = id
		return []billLicence{l}
	}
	subject := billComponent{Type: "application", Name: "mcp-credential-broker", Version: broker.Version, Licences: licence("Apache-2.0")}
	for _, line := range sums {
		if sum, name, _ := strings.Cut(line, "  "); name == "app.wasm" {
			subject.Hashes = []billHash{{"SHA-256", sum}}
		}
	}
	var components []billComponent
	for _, m := range modules {
		id, _, err := m.licence()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		components = append(components, billComponent{
			Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version, Licences: licence(id),
		})
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata": map[string]any{"component": subject}, "components": components,
	})
	return out.Bytes(), err
}
