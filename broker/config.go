package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/sts"
)

const (
	defaultIssuer = "https://us.vouch.sh"
	resourcePath  = "/mcp"

	modeRelay  = "relay"
	modeSignIn = "sign-in"
)

// noPolicy is the POLICY of a broker that is to have none, whatever file it was
// built with.
const noPolicy = "none"

// defaultRedirectURI is Cursor's.
const defaultRedirectURI = "cursor://anysphere.cursor-mcp/oauth/callback"

// defaultRedirectURIs are those of native apps that are known to speak MCP. In
// Cursor's older one stands the name that its user gave the server.
var defaultRedirectURIs = []string{
	defaultRedirectURI, "cursor://anysphere.cursor-retrieval/oauth/user-*/callback",
	"claude://claude.ai/mcp-auth-callback/sdk", "warp://mcp/oauth2callback",
}

// defaultRedirectHosts are those of web clients that are known to speak MCP.
var defaultRedirectHosts = []string{"claude.ai", "claude.com", "chatgpt.com", "vscode.dev", "insiders.vscode.dev", "www.cursor.com"}

// defaultOrigins are the web clients that are known to speak MCP from a browser.
var defaultOrigins = []string{"https://claude.ai", "https://claude.com", "https://chatgpt.com", "https://vscode.dev", "https://github.dev"}

// Config is what the environment says, checked. docs/configuration.md documents each
// variable.
type Config struct {
	// Issuer is Vouch's issuer without a trailing slash, compared byte for byte.
	Issuer string
	// Audience is this broker's public URL and RFC 9728 resource identifier,
	// https://HOST/mcp. Empty: derived from the request, on a loopback host only.
	Audience string
	// Mode is "relay" or "sign-in". Empty, on a loopback host only: sign-in with a
	// Key, else relay.
	Mode string
	// ClientID is the broker's client id at Vouch, in sign-in mode.
	ClientID string
	// Key is the broker's key in sign-in mode, and PreviousKey the one before the
	// last rotation or nil.
	Key, PreviousKey *p256.Key
	// AllowedRedirectHosts are where access may go on https, and AllowedEmails
	// whom it is for: who signs in, and who calls. Nil is everyone.
	AllowedRedirectHosts, AllowedEmails glob.List
	// AllowedRedirectURIs are redirect URIs of native apps, neither https nor
	// loopback.
	AllowedRedirectURIs []string
	// AllowedClientIDs are clients whose tokens may have aud == client_id.
	AllowedClientIDs []string
	// AllowedOrigins are browser origins; "*" stands for any https origin.
	AllowedOrigins []string
	// Warning says what is wrong and was ignored, if it is not empty.
	Warning string
	// AWSRegion is the STS region when a call names none. Empty: the partition's.
	AWSRegion string
	// Policy says who gets what; nil without POLICY, or with one that is invalid.
	Policy *policy.Policy
	// PolicyFault is what is wrong with POLICY: errors of package policy.
	PolicyFault error
	// Freeze refuses every credential with this text, if it is not empty.
	Freeze string
	// STSEndpoint overrides the regional STS endpoints when it is not empty.
	STSEndpoint string
}

// ParseConfig reads the variables that getenv knows ("" is unset). Its error
// joins every fault, each by the variable's name and never with its value.
func ParseConfig(getenv func(name string) string) (Config, error) {
	c, err := parseConfig(getenv)
	if c.PolicyFault != nil { // the document is no secret
		err = errors.Join(err, fmt.Errorf("POLICY is invalid: %w", c.PolicyFault))
	}
	return c, err
}

// parseConfig leaves PolicyFault out of its error.
func parseConfig(getenv func(name string) string) (Config, error) {
	c := Config{
		Issuer:           orDefault(getenv("VOUCH_ISSUER"), defaultIssuer),
		Audience:         getenv("VOUCH_AUDIENCE"),
		Mode:             getenv("BROKER_MODE"),
		ClientID:         getenv("VOUCH_CLIENT_ID"),
		AllowedClientIDs: list(getenv("ALLOWED_CLIENT_IDS")),
		AllowedOrigins:   defaultOrigins,

		AllowedRedirectURIs: defaultRedirectURIs,
		AWSRegion:           getenv("AWS_REGION"),
		Freeze:              getenv("FREEZE"),
		STSEndpoint:         strings.TrimSuffix(getenv("AWS_ENDPOINT_URL_STS"), "/"),
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
	key := func(name string) *p256.Key {
		text := getenv(name)
		if text == "" {
			return nil
		}
		k, err := p256.Parse(secret.New(text))
		if err != nil {
			fault(name, "must be a P-256 private key as JWK, as make register writes it")
		}
		return k
	}
	c.Key, c.PreviousKey = key("BROKER_KEY"), key("BROKER_KEY_PREVIOUS")
	if c.Mode != "" && c.Mode != modeRelay && c.Mode != modeSignIn {
		fault("BROKER_MODE", "must be relay or sign-in")
	}
	// Half a sign-in configuration is never taken for relay mode.
	if hasKey := getenv("BROKER_KEY") != ""; c.Mode == modeSignIn || hasKey != (c.ClientID != "") {
		if !hasKey {
			fault("BROKER_KEY", "must be set for sign-in mode")
		}
		if c.ClientID == "" {
			fault("VOUCH_CLIENT_ID", "must be set for sign-in mode")
		}
	}
	if s := getenv("ALLOWED_REDIRECT_URIS"); s != "" {
		c.AllowedRedirectURIs = list(s)
	}
	for i, uri := range c.AllowedRedirectURIs {
		if !authserver.ValidRedirectURI(uri) {
			fault("ALLOWED_REDIRECT_URIS", entry(i)+"must list redirect URIs of native apps, such as "+defaultRedirectURI)
			break
		}
	}
	hosts := defaultRedirectHosts
	if s := getenv("ALLOWED_REDIRECT_HOSTS"); s != "" {
		hosts = list(s)
	}
	for i, host := range hosts {
		c.AllowedRedirectHosts = append(c.AllowedRedirectHosts, glob.Fold(host))
		if !ascii.Only(host, ascii.Alphanumeric+"-_.*:") {
			fault("ALLOWED_REDIRECT_HOSTS", entry(i)+"must list hosts such as claude.ai or *.example.com, without https:// and path, or be *")
			break
		}
	}
	emails := getenv("ALLOWED_EMAILS")
	for i, email := range list(emails) {
		c.AllowedEmails = append(c.AllowedEmails, glob.Fold(email))
		if email != "*" && !strings.Contains(email, "@") {
			fault("ALLOWED_EMAILS", entry(i)+"must list e-mail addresses such as ada@example.com or *@example.com")
			break
		}
	}
	if emails != "" && c.AllowedEmails == nil { // an empty list would be everyone
		fault("ALLOWED_EMAILS", "must list e-mail addresses, or be unset for everyone")
	}
	if s := getenv("ALLOWED_ORIGINS"); s != "" {
		c.AllowedOrigins, c.Warning = origins(list(s))
	}
	if document := getenv("POLICY"); document != "" && document != noPolicy {
		c.Policy, c.PolicyFault = policy.Compile([]byte(document))
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
	if !strings.HasPrefix(c.Audience, "https://") {
		faults = append(faults, errors.New("VOUCH_AUDIENCE must be set to this broker's public URL, https://HOST/mcp"))
	}
	if c.Mode == "" {
		faults = append(faults, errors.New("BROKER_MODE must be set to relay or sign-in"))
	}
	return errors.Join(faults...)
}

// signsIn reports whether the mode is sign-in.
func (c Config) signsIn() bool { return c.Mode == modeSignIn || c.Mode == "" && c.Key != nil }

// resource returns the resource identifier for a request to requestURL. The
// Host header decides only while nothing is configured and the host is loopback.
func (c Config) resource(requestURL *url.URL) (string, error) {
	switch {
	case c.Audience != "" && c.Mode != "":
		return c.Audience, nil
	case isLoopback(requestURL.Hostname()):
		derived, err := oauth.NormalizeResource(requestURL.Scheme + "://" + requestURL.Host + resourcePath)
		return orDefault(c.Audience, derived), err
	}
	return "", c.CheckPublic()
}

// origins are those of all that can be allowed. A page that is not let in harms
// nobody but its users, so a wrong entry does not stop the broker.
func origins(all []string) (allowed []string, warning string) {
	var wrong []string
	for i, entry := range all {
		if entry == "*" || isOrigin(entry) {
			allowed = append(allowed, entry)
		} else {
			wrong = append(wrong, strconv.Itoa(i+1))
		}
	}
	if wrong != nil {
		warning = "in ALLOWED_ORIGINS entry " + strings.Join(wrong, ", ") +
			" is ignored: an origin is scheme://host, in lower case, without a path, a slash at its end or the default port"
	}
	return allowed, warning
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
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

// entry names the i-th of a list, whose text is not shown.
func entry(i int) string { return "(entry " + strconv.Itoa(i+1) + ") " }

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
