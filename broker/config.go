package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/sts"
)

const (
	defaultIssuer = "https://us.vouch.sh"
	resourcePath  = "/mcp"

	modeRelay  = "relay"
	modeSignIn = "sign-in"
)

// defaultOrigins are the web clients that are known to speak MCP from a browser.
var defaultOrigins = []string{"https://claude.ai", "https://claude.com", "https://chatgpt.com", "https://vscode.dev", "https://github.dev"}

// Config is what the environment says, checked. README.md documents each
// variable.
type Config struct {
	// Issuer is Vouch's issuer without a trailing slash, compared byte for byte.
	Issuer string
	// Audience is this broker's public URL and RFC 9728 resource identifier,
	// https://HOST/mcp. Empty: derived from the request, on a loopback host only.
	Audience string
	// Mode is "relay", or empty: relay, on a loopback host only.
	Mode string
	// AllowedClientIDs are clients whose tokens may have aud == client_id.
	AllowedClientIDs []string
	// AllowedOrigins are browser origins; "*" stands for any https origin.
	AllowedOrigins []string
	// AWSRegion is the STS region when a call names none. Empty: the partition's.
	AWSRegion string
	// STSEndpoint overrides the regional STS endpoints when it is not empty.
	STSEndpoint string
}

// ParseConfig reads the variables that getenv knows ("" is unset). Its error
// joins every fault, each by the variable's name and never with its value.
func ParseConfig(getenv func(name string) string) (Config, error) {
	c := Config{
		Issuer:           orDefault(getenv("VOUCH_ISSUER"), defaultIssuer),
		Audience:         getenv("VOUCH_AUDIENCE"),
		Mode:             getenv("BROKER_MODE"),
		AllowedClientIDs: list(getenv("ALLOWED_CLIENT_IDS")),
		AllowedOrigins:   defaultOrigins,
		AWSRegion:        getenv("AWS_REGION"),
		STSEndpoint:      strings.TrimSuffix(getenv("AWS_ENDPOINT_URL_STS"), "/"),
	}
	var faults []error
	fault := func(name, what string) { faults = append(faults, fmt.Errorf("%s %s", name, what)) }

	if u := publicURL(c.Issuer); u == nil || strings.HasSuffix(c.Issuer, "/") {
		fault("VOUCH_ISSUER", "must be Vouch's https URL without a trailing slash, such as "+defaultIssuer)
	}
	if c.Audience != "" {
		normal, err := oauth.NormalizeResource(c.Audience)
		if u := publicURL(c.Audience); u == nil || u.Path != resourcePath || err != nil || normal != c.Audience {
			fault("VOUCH_AUDIENCE", "must be this broker's public URL in its plain form, https://HOST/mcp")
		}
	}
	switch c.Mode {
	case modeRelay:
	case "":
		if getenv("BROKER_KEY") != "" || getenv("VOUCH_CLIENT_ID") != "" {
			fault("BROKER_MODE", "must be set when BROKER_KEY or VOUCH_CLIENT_ID is; this version has the mode relay, which needs neither")
		}
	case modeSignIn:
		fault("BROKER_MODE", "is sign-in, which this version does not have; use relay with a Vouch server older than v2026.6.3")
	default:
		fault("BROKER_MODE", "must be relay")
	}
	if s := getenv("ALLOWED_ORIGINS"); s != "" {
		c.AllowedOrigins = list(s)
	}
	for _, o := range c.AllowedOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			fault("ALLOWED_ORIGINS", "must list origins such as https://claude.ai, separated by commas, or be *")
			break
		}
	}
	if c.AWSRegion != "" && !sts.ValidRegion(c.AWSRegion) {
		fault("AWS_REGION", "must be an AWS region such as eu-central-1")
	}
	if c.STSEndpoint != "" && publicURL(c.STSEndpoint) == nil {
		fault("AWS_ENDPOINT_URL_STS", "must be an https URL (http on a loopback host only)")
	}
	return c, errors.Join(faults...)
}

// CheckPublic tells what a broker on a public host needs beyond what ParseConfig
// asks for: nothing is guessed there.
func (c Config) CheckPublic() error {
	var faults []error
	if c.Audience == "" {
		faults = append(faults, errors.New("VOUCH_AUDIENCE must be set to this broker's public URL, https://HOST/mcp"))
	}
	if c.Mode == "" {
		faults = append(faults, errors.New("BROKER_MODE must be set to relay"))
	}
	return errors.Join(faults...)
}

// resource returns the resource identifier for a request to requestURL. The
// Host header decides only while nothing is configured and the host is loopback.
func (c Config) resource(requestURL *url.URL) (string, error) {
	fault := c.CheckPublic()
	if fault != nil && isLoopback(requestURL.Hostname()) {
		return orDefault(c.Audience, requestURL.Scheme+"://"+requestURL.Host+resourcePath), nil
	}
	return c.Audience, fault
}

// publicURL parses an absolute https URL, or http on a loopback host, that has
// neither userinfo nor query nor fragment. It returns nil for anything else.
func publicURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return nil
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil
	}
	return u
}

// isLoopback reports whether host, without a port, names this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// list splits at commas and white space.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
