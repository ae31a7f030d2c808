// Command dev is what the Makefile runs: the local stack, the demonstration,
// and the checks that need more than one line of shell.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

var commands = map[string]func(context.Context) error{
	"dev":    runDev,
	"demo":   runDemo,
	"size":   runSize,
	"lint":   runLint,
	"fuzz":   runFuzz,
	"deploy": runDeploy,
	"doctor": runDoctor,
	"native": runNative,
	"vouch":  runVouch,

	"inspect":  runInspect,
	"licences": runLicences,
	"linked":   runLinked,
	"release":  runRelease,

	"register":   runRegister,
	"rotate-key": runRotateKey,

	"check-policy": runCheckPolicy,
	"mutants":      runMutants,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: go run ./worker/dev %s\n(see make for what they do)\n", strings.Join(slices.Sorted(maps.Keys(commands)), "|"))
		os.Exit(2)
	}
	if err := commands[os.Args[1]](ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\n%s failed: %v\n", os.Args[1], err)
		stop()
		os.Exit(1)
	}
}

func step(what string) { fmt.Println("==> " + what + " ...") }
