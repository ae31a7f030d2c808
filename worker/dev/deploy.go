package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/worker/stack"
)

// runDeploy checks the configuration that would be deployed and deploys it.
// With DRY_RUN set it does everything but the upload.
func runDeploy(ctx context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	dry := os.Getenv("DRY_RUN") != ""
	vars, err := deployedVars(filepath.Join(root, "wrangler.toml"))
	if err != nil {
		return err
	}
	if err := checkDeployment(vars); err != nil {
		if !dry {
			return fmt.Errorf("the configuration in wrangler.toml is not ready:\n%w", err)
		}
		fmt.Printf("The configuration in wrangler.toml is not ready for a real deployment:\n%v\n", err)
	}
	if err := runSize(ctx); err != nil || dry {
		return err
	}
	cmd, err := stack.Wrangler(root, "deploy")
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = nil // wrangler may ask the person to log in, so it must own the terminal
	return run(ctx, cmd)
}

// checkDeployment finds what would make the deployed Worker answer 503. Secrets
// cannot be seen from here: the key of sign-in mode is taken to be there.
func checkDeployment(vars map[string]string) error {
	config, fault := broker.ParseConfig(func(name string) string {
		if name == "BROKER_KEY" && vars["BROKER_MODE"] == "sign-in" {
			if text, err := p256.Generate(); err == nil {
				return text.Reveal()
			}
		}
		return vars[name]
	})
	return errors.Join(fault, config.CheckPublic())
}

// deployedVars reads the [vars] of wrangler.toml. It understands the plain
// lines NAME = "value" that the file has, and refuses others.
func deployedVars(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{}
	inVars := false
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			inVars = line == "[vars]"
		case inVars:
			name, value, ok := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			if !ok || len(value) < 2 || value[0] != '"' || strings.IndexByte(value[1:], '"') != len(value)-2 {
				return nil, fmt.Errorf(`%s line %d: write variables as NAME = "value"`, filepath.Base(path), number+1)
			}
			vars[strings.TrimSpace(name)] = value[1 : len(value)-1]
		}
	}
	return vars, nil
}

// run runs cmd and ends it, with its process group if it has one, when ctx does.
func run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		if cmd.SysProcAttr != nil && cmd.SysProcAttr.Setpgid {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
	})
	defer stop()
	return cmd.Wait()
}
