package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// knownNames are the variables that these commands, the broker and the Makefile
// read, where a mistyped one would silently be the default.
var knownNames = []string{
	"VOUCH_ISSUER", "VOUCH_AUDIENCE", "VOUCH_CLIENT_ID", "BROKER_MODE", "BROKER_KEY", "BROKER_KEY_PREVIOUS", "CLOUDFLARE_ENV",
	"RUN", "WRITE", "MOVE", "URL", "DRY_RUN", "UNCONFIGURED", "FILE", "FUZZTIME",
}

// CheckNames refuses variables that nobody reads: those given to make on its
// command line, which stand in MAKEFLAGS, and those of the environment that are
// nearly one of ours.
func CheckNames(environ []string) error {
	given := map[string]bool{} // by name: on make's command line
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case name == "MAKEFLAGS":
			_, words, _ := strings.Cut(value, "-- ")
			for _, word := range strings.Fields(words) {
				if name, _, ok := strings.Cut(word, "="); ok {
					given[name] = true
				}
			}
		case strings.HasPrefix(name, "VOUCH_") || strings.HasPrefix(name, "BROKER_"):
			if _, known := given[name]; !known {
				given[name] = false
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(knownNames, name) {
			continue
		}
		near := slices.MinFunc(knownNames, func(a, b string) int { return distance(name, a) - distance(name, b) })
		if distance(name, near) > 3 {
			if !given[name] {
				continue // another program's, such as Vouch's own
			}
			return fmt.Errorf("%s is no variable that this reads: leave it out, or see docs/configuration.md for the names", name)
		}
		return fmt.Errorf("%s is no variable that this reads: did you mean %s?", name, near)
	}
	return nil
}

// distance is the number of single characters to insert, delete or replace to make
// b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
