// Package settings reads what the operator has set: wrangler.toml, as wrangler would, and the
// variables that the commands of the Makefile take. It writes variables back into wrangler.toml
// and leaves the rest of the file as it is.
package settings

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Settings is what one environment of wrangler.toml says about the deployed
// Worker, as far as it is checked here.
type Settings struct {
	// Env is CLOUDFLARE_ENV, or empty for the top of the file.
	Env string
	// Worker is its name, also under workers.dev.
	Worker string
	Vars   map[string]string
	routes []route
	// workersDev is whether the Worker has a name under workers.dev too.
	workersDev bool
	// Limiters are the names of its rate-limit bindings.
	Limiters []string
}

// A route sends requests to the Worker: a host with a path pattern, or a whole
// host of Cloudflare's making.
type route struct {
	Pattern      string `toml:"pattern"`
	CustomDomain bool   `toml:"custom_domain"`
}

// environment is one table of wrangler.toml.
type environment struct {
	Name       string         `toml:"name"`
	WorkersDev *bool          `toml:"workers_dev"`
	Route      any            `toml:"route"`
	Routes     []any          `toml:"routes"`
	Vars       map[string]any `toml:"vars"`
	Limiters   []struct {
		Name string `toml:"name"`
	} `toml:"ratelimits"`
}

// Read reads wrangler.toml as wrangler would for an environment: name,
// routes and workers_dev are inherited from the top, variables and limiters are
// not.
func Read(path, env string) (Settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, err
	}
	var file struct {
		environment
		Env map[string]environment `toml:"env"`
	}
	if err := toml.Unmarshal(text, &file); err != nil {
		return Settings{}, fmt.Errorf("wrangler.toml cannot be read: %w", err)
	}
	chosen := file.environment
	if env != "" {
		var ok bool
		if chosen, ok = file.Env[env]; !ok {
			return Settings{}, fmt.Errorf("wrangler.toml has no environment [env.%s], which CLOUDFLARE_ENV names", env)
		}
		if chosen.Name == "" {
			chosen.Name = file.Name + "-" + env
		}
		if chosen.WorkersDev == nil {
			chosen.WorkersDev = file.WorkersDev
		}
		if chosen.Routes == nil && chosen.Route == nil {
			chosen.Routes, chosen.Route = file.Routes, file.Route
		}
	}
	s := Settings{Env: env, Worker: chosen.Name, Vars: map[string]string{}, workersDev: chosen.WorkersDev == nil || *chosen.WorkersDev}
	for name, value := range chosen.Vars {
		text, ok := value.(string)
		if !ok { // wrangler hands such a value over as JSON, which no variable of the broker is
			return Settings{}, fmt.Errorf(`wrangler.toml: write %s = "value" under [%s], in quotes`, name, s.VarsTable())
		}
		s.Vars[name] = text
	}
	for _, limiter := range chosen.Limiters {
		s.Limiters = append(s.Limiters, limiter.Name)
	}
	if chosen.Route != nil {
		chosen.Routes = append(slices.Clone(chosen.Routes), chosen.Route)
	}
	for _, entry := range chosen.Routes {
		switch entry := entry.(type) {
		case string:
			s.routes = append(s.routes, route{Pattern: entry})
		case map[string]any:
			pattern, _ := entry["pattern"].(string)
			custom, _ := entry["custom_domain"].(bool)
			s.routes = append(s.routes, route{pattern, custom})
		}
	}
	return s, nil
}

// Chosen returns a variable as the person gave it, else as it is deployed.
func (s Settings) Chosen(getenv func(string) string, name string) string {
	if value := getenv(name); value != "" {
		return value
	}
	return s.Vars[name]
}

// VarsTable is the table of wrangler.toml in which the variables stand.
func (s Settings) VarsTable() string {
	if s.Env == "" {
		return "vars"
	}
	return "env." + s.Env + ".vars"
}

// Reaches reports whether a request for any path of host gets to the Worker.
func (s Settings) Reaches(host string) bool {
	if s.workersDev && strings.HasPrefix(host, s.Worker+".") && strings.HasSuffix(host, ".workers.dev") {
		return true
	}
	return slices.ContainsFunc(s.routes, func(r route) bool {
		pattern := strings.TrimPrefix(strings.TrimPrefix(r.Pattern, "https://"), "http://")
		if r.CustomDomain {
			return strings.EqualFold(pattern, host)
		}
		name, path, _ := strings.Cut(pattern, "/")
		if path != "*" {
			return false
		}
		if rest, ok := strings.CutPrefix(name, "*"); ok { // *.example.com, or *example.com with the bare name
			return strings.HasSuffix(strings.ToLower(host), strings.ToLower(rest))
		}
		return strings.EqualFold(name, host)
	})
}
