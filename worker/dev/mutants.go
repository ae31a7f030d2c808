package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mcp-credential-broker/worker/stack"
)

//go:embed mutants.txt
var mutantList string

// mutantTime is what one mutant may take, compiling included. A check whose
// absence makes a test run on and on is missed by that test, so it counts as
// caught.
const mutantTime = 3 * time.Minute

// A mutant is a security check, broken.
type mutant struct {
	line     int // of mutants.txt
	file     string
	packages []string // whose tests are to catch it
	tests    []string // of worker/e2e, in place of packages for a mutant of the host
	old, new string
}

func (m mutant) String() string { return fmt.Sprintf("%s: %s -> %s", m.file, m.old, m.new) }

// runMutants breaks one check after the other, and the tests must notice each.
// ONLY=text takes those of files whose name has it, SAMPLE=n every n-th.
func runMutants(ctx context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	all, err := readMutants(mutantList)
	if err != nil {
		return err
	}
	all, err = chosen(all, os.Getenv("ONLY"), os.Getenv("SAMPLE"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var survivors []string
	var useless error
	for i, m := range all {
		caught, err := m.try(ctx, root, dir)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict := "caught"
		switch {
		case err != nil:
			verdict = "USELESS"
			useless = errors.Join(useless, err)
		case !caught:
			verdict = "SURVIVED"
			survivors = append(survivors, m.String())
		}
		fmt.Printf("%3d/%d %s  %s\n", i+1, len(all), verdict, m)
	}
	if useless != nil {
		fmt.Printf("\nThese prove nothing; mend the list:\n%v\n", useless)
	}
	if len(survivors) > 0 {
		return fmt.Errorf("%s survived: write a test that catches it, or remove the check if it is not needed\n  %s", count(len(survivors), "mutant"), strings.Join(survivors, "\n  "))
	}
	if useless != nil {
		return errors.New("some mutants prove nothing: they are named above")
	}
	fmt.Printf("all %s caught\n", count(len(all), "mutant"))
	return nil
}

// readMutants reads the list: blocks of a file and its packages or tests, "- " and "+ ".
func readMutants(list string) ([]mutant, error) {
	var all []mutant
	var m mutant
	for i, line := range strings.Split(list, "\n") {
		switch old, isOld := strings.CutPrefix(line, "- "); {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case isOld && m.file != "" && m.old == "":
			m.old = old
		case strings.HasPrefix(line, "+ ") && m.old != "":
			m.new = line[2:]
			all = append(all, m)
			m = mutant{}
		case m.file == "" && !isOld:
			fields := strings.Fields(line)
			m = mutant{line: i + 1, file: fields[0]}
			switch rest := fields[1:]; {
			case m.isHost() && len(rest) == 0:
				return nil, fmt.Errorf("mutants.txt:%d: name the tests of worker/e2e that are to catch it", i+1)
			case m.isHost():
				m.tests = rest
			case len(rest) == 0:
				m.packages = []string{"./" + filepath.ToSlash(filepath.Dir(m.file))}
			default:
				m.packages = rest
			}
		default:
			return nil, fmt.Errorf("mutants.txt:%d: a block is a file, a line with -, a line with +", i+1)
		}
	}
	if m.file != "" || len(all) == 0 {
		return nil, fmt.Errorf("mutants.txt:%d: the last block is not whole", m.line)
	}
	return all, nil
}

func chosen(all []mutant, only, sample string) (some []mutant, err error) {
	every := 1
	if sample != "" {
		if _, err := fmt.Sscanf(sample, "%d", &every); err != nil || every < 1 {
			return nil, errors.New("SAMPLE must be a number: 10 takes every tenth")
		}
	}
	for _, m := range all {
		if strings.Contains(m.file, only) {
			some = append(some, m)
		}
	}
	for i := 0; i*every < len(some); i++ {
		some[i] = some[i*every]
	}
	if some = some[:(len(some)+every-1)/every]; len(some) == 0 {
		return nil, errors.New("no mutant is of a file with ONLY in its name")
	}
	return some, nil
}

// apply returns the file's text with the check broken.
func (m mutant) apply(text string) (string, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return "", fmt.Errorf("mutants.txt:%d: its text stands in %s %d times, not once: the check has moved, so follow it", m.line, m.file, n)
	}
	return strings.Replace(text, m.old, m.new, 1), nil
}

// try runs the tests with the mutant in the file's place. The work tree stays as
// it is: the compiler is told to read another file.
func (m mutant) try(ctx context.Context, root, dir string) (caught bool, err error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return false, err
	}
	broken, err := m.apply(string(text))
	if err != nil {
		return false, err
	}
	if m.isHost() {
		return m.tryHost(ctx, root, dir, broken)
	}
	overlay, err := m.overlay(root, dir, broken)
	if err != nil {
		return false, err
	}
	ctx, stop := context.WithTimeout(ctx, mutantTime)
	defer stop()
	args := append([]string{"test", "-short", "-failfast", "-vet=off", "-timeout", "2m", "-overlay", overlay}, m.packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	switch {
	case err == nil:
		return false, nil
	case bytes.Contains(out.Bytes(), []byte("[build failed]")) || bytes.Contains(out.Bytes(), []byte("[setup failed]")):
		return false, fmt.Errorf("mutants.txt:%d: it does not compile, which proves nothing:\n%s", m.line, out.Bytes())
	case !bytes.Contains(out.Bytes(), []byte("FAIL")) && ctx.Err() == nil:
		return false, fmt.Errorf("mutants.txt:%d: go test: %w\n%s", m.line, err, out.Bytes())
	}
	return true, nil
}
