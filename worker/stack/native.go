package stack

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
)

// A Native is the broker and its Vouch and STS in this very process, without
// workerd: for a debugger, which stops in all of them.
type Native struct {
	*Stack
	server *http.Server
}

// StartNative starts one in sign-in mode, under a policy or none (""). The caller must
// Stop it.
func StartNative(port int, policy string, log func(line string)) (*Native, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("port %d cannot be used: %w", port, err)
	}
	s := &Stack{MCP: "http://" + l.Addr().String() + "/mcp"}
	if s.Stack, err = vouchtest.Start(vouchtest.Options{Version: vouchtest.Latest}); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("the local Vouch could not be started: %w", err)
	}
	vars := map[string]string{"VOUCH_ISSUER": s.VouchURL, "VOUCH_AUDIENCE": s.MCP, "AWS_ENDPOINT_URL_STS": s.STSURL, "POLICY": policy}
	err = s.register(vars)
	var handler http.Handler
	if err == nil {
		handler, err = broker.New(broker.Environment{
			Getenv:  func(name string) string { return vars[name] },
			Fetcher: upstream.NetHTTP{}, Now: time.Now, Log: log,
		})
	}
	if err != nil {
		_ = l.Close()
		s.Stop()
		return nil, err
	}
	n := &Native{s, &http.Server{Handler: handler, ReadTimeout: 30 * time.Second}}
	go func() { _ = n.server.Serve(l) }()
	return n, nil
}

// Stop ends broker, Vouch and STS.
func (n *Native) Stop() {
	_ = n.server.Close()
	n.Stack.Stop()
}

// StartVouch starts the stand-in alone, with the broker of mcp as a client of it,
// and returns the variables that such a broker needs.
func StartVouch(mcp string) (*Stack, map[string]string, error) {
	s := &Stack{MCP: mcp}
	var err error
	if s.Stack, err = vouchtest.Start(vouchtest.Options{Version: vouchtest.Latest}); err != nil {
		return nil, nil, fmt.Errorf("the local Vouch could not be started: %w", err)
	}
	vars := map[string]string{"VOUCH_ISSUER": s.VouchURL, "VOUCH_AUDIENCE": mcp, "AWS_ENDPOINT_URL_STS": s.STSURL}
	if err := s.register(vars); err != nil {
		s.Stop()
		return nil, nil, err
	}
	return s, vars, nil
}

// DotEnv writes variables as dotenv reads them. What is in single quotes it takes
// as it is.
func DotEnv(vars map[string]string) string {
	var lines strings.Builder
	for _, name := range []string{"BROKER_MODE", "VOUCH_ISSUER", "VOUCH_AUDIENCE", "VOUCH_CLIENT_ID", "AWS_ENDPOINT_URL_STS", "BROKER_KEY"} {
		fmt.Fprintf(&lines, "%s='%s'\n", name, vars[name])
	}
	return lines.String()
}
