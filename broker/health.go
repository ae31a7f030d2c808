package broker

import "net/http"

// Version is the release. package.json and server.json name it too, and a test
// holds them together.
const Version = "0.1.0"

// commit is what the build was made of: the commit's short name, and a hash of
// what was changed since. The linker sets it (-X); it is empty in a build that
// was made without make.
var commit string

// serveHealth tells whether the configuration holds, and what is running. It asks
// nobody else: make doctor does, with the operator's key, and a monitor that asks
// each minute must not use up what Vouch allows this broker's address.
func (b *Broker) serveHealth(w http.ResponseWriter, r *http.Request, fault error) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case fault != nil:
		writeConfigFault(w, fault)
	case b.config.PolicyFault != nil:
		writePolicyFault(w, b.config.PolicyFault)
	case isRead(w, r):
		mode := modeRelay
		if b.config.signsIn() {
			mode = modeSignIn
		}
		health := map[string]string{"status": "ok", "version": Version, "commit": commit, "mode": mode}
		if b.config.Policy != nil {
			health["policy"] = b.config.Policy.ID()
		}
		if b.config.Warning != "" {
			health["warning"] = b.config.Warning
		}
		if b.config.Freeze != "" { // the broker works, and says so: it is meant to refuse
			health["freeze"] = b.config.Freeze
		}
		writeJSON(w, http.StatusOK, health)
	}
}
