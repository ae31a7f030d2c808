package authserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/strictjson"
	"mcp-credential-broker/broker/upstream"
)

// internalNames are the ends of names that are not, or should not be, in the
// public DNS (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476, and ICANN's
// choice of "internal").
var internalNames = [...]string{"localhost", "localdomain", "local", "internal", "intranet", "lan", "arpa", "onion", "alt"}

var (
	errDocumentURL    = errors.New("client id is a URL from which no metadata is fetched")
	errDocumentAnswer = errors.New("answer is not status 200 with JSON")
	errDocumentID     = errors.New("document has another client_id")
	errDocumentName   = errors.New("document has no client_name")
	errDocumentSecret = errors.New("document holds a secret")
	errDocumentSlots  = errors.New("as many metadata documents are pending as may be")
	errDocumentMethod = errors.New("document demands a client authentication other than none")
)

// Slots count the metadata documents that are pending, for all requests of their
// owner. The zero Slots are free, and a nil pointer counts nothing. They may be
// used concurrently; nobody waits for one.
type Slots struct {
	mu sync.Mutex // never held across I/O
	// pending holds until when each document can be. A request that the host
	// dropped gives nothing back, and its slot is free all the same after that.
	pending []time.Time
}

// take reserves a slot, and reports whether there was one. The slot is named by
// until.
func (s *Slots) take(now, until time.Time) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(end time.Time) bool { return !now.Before(end) })
	if len(s.pending) >= maxPendingDocuments {
		return false
	}
	s.pending = append(s.pending, until)
	return true
}

func (s *Slots) give(until time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.pending, until); i >= 0 {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
}

// isDocumentURL reports whether a client id claims to be the URL of a Client ID
// Metadata Document. Ids of registered clients have no colon.
func isDocumentURL(id string) bool {
	return strings.HasPrefix(id, "https://") || strings.HasPrefix(id, "http://")
}

// documentClient fetches and checks a Client ID Metadata Document
// (draft-ietf-oauth-client-id-metadata-document-00, with the stricter rules of
// -02). It is fetched once for each sign-in and never kept: a later change of
// the document finds the redirect URI sealed already.
func (s *Server) documentClient(ctx context.Context, id string) (*client, error) {
	host, err := s.Config.checkDocumentURL(id)
	if err != nil {
		return nil, invalid("invalid_client", "The app's client_id is not the URL of a public metadata document.").because(err)
	}
	now := s.Config.Now()
	until := now.Add(2 * documentTime)
	if !s.Documents.take(now, until) {
		return nil, (&refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			sentence: "Too many apps are being looked up at once; try again in 5 s.", wait: documentTime}).because(errDocumentSlots)
	}
	defer s.Documents.give(until)
	resp, err := s.Upstream.Do(ctx, upstream.Request{
		Method: http.MethodGet, URL: id, Header: http.Header{"Accept": {"application/json"}},
		Timeout: documentTime, MaxBytes: maxDocumentBytes,
	})
	if err == nil {
		err = checkDocumentAnswer(resp)
	}
	if err != nil {
		return nil, invalid("invalid_client", "The app's metadata could not be fetched from its client_id; try again, or ask the app's makers.").because(err)
	}
	r, err := readDocument(resp.Body, id)
	if err != nil {
		return nil, invalid("invalid_client", "The app's metadata, as published at its client_id, cannot be used here.").because(err)
	}
	// The document is written for every server: some of its redirect URIs may be
	// of a kind that is not taken here.
	return &client{idHash: sha256.Sum256([]byte(id)), name: r.Name, host: host, document: id, redirectURIs: r.RedirectURIs}, nil
}

func checkDocumentAnswer(resp *upstream.Response) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if resp.Status != http.StatusOK || err != nil || !isJSON {
		return errDocumentAnswer
	}
	return nil
}

// checkDocumentURL returns the host of a client id if it may be fetched from.
//
// The URL comes from a stranger: without these rules they could make us ask
// machines that only we can reach. We cannot see what a name resolves to (the
// host must fetch from public addresses only), so that here go addresses in
// every notation, names that are not public, and our own name, by which we would
// call ourselves around our own front door.
func (c Config) checkDocumentURL(id string) (host string, err error) {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxClientIDBytes || strings.Trim(id, urlCharacters) != "" || u.User != nil || !hasPlainPath(u) {
		return "", errDocumentURL
	}
	if strings.EqualFold(u.Host, c.host()) {
		return "", errDocumentURL
	}
	if _, _, local := splitLoopback(id); local && c.Loopback {
		return u.Host, nil
	}
	host = strings.ToLower(strings.TrimSuffix(u.Host, ":443"))
	last := host[strings.LastIndexByte(host, '.')+1:]
	if u.Scheme != "https" || !isHostName(host) || slices.Contains(internalNames[:], last) || host == c.hostName() {
		return "", errDocumentURL
	}
	return host, nil
}

// hostName is the issuer's host without a port.
func (c Config) hostName() string {
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// hasPlainPath reports whether there is a path, without dot segments: those
// would let two URLs be one.
func hasPlainPath(u *url.URL) bool {
	for segment := range strings.SplitSeq(u.Path, "/") { // decoded, so "%2e" counts
		if segment == "." || segment == ".." {
			return false
		}
	}
	return len(u.Path) > 1
}

// readDocument checks the document at the URL id.
func readDocument(data []byte, id string) (registration, error) {
	members, err := strictjson.Read(data, maxDocumentBytes)
	if err != nil {
		return registration{}, err
	}
	r, err := readClientMetadata(members)
	if err != nil {
		return registration{}, err
	}
	own, err := members.Text("client_id")
	switch {
	case err != nil || own != id:
		// A copy elsewhere of a document, or one host that answers alike at every
		// path, must not stand for another client.
		return registration{}, errDocumentID
	case r.Name == "":
		return registration{}, errDocumentName
	case holdsSecret(members):
		return registration{}, errDocumentSecret
	}
	return r, checkAuthMethod(members)
}

// holdsSecret reports whether a document, which anybody can read, has in it what
// should authenticate the client.
func holdsSecret(members strictjson.Object) bool {
	if members.Has("client_secret") || members.Has("client_secret_expires_at") {
		return true
	}
	var secret bool
	members.Object("jwks").Member("keys").ForEach(func(_, key gjson.Result) bool {
		key.ForEach(func(name, _ gjson.Result) bool {
			secret = secret || name.Str == "d" || name.Str == "k" // RFC 7518 section 6
			return !secret
		})
		return !secret
	})
	return secret
}

// checkAuthMethod holds a client to what it says about its authentication: it
// must be able to do without. A document whose preferred method is another may
// list all that its client can do.
func checkAuthMethod(members strictjson.Object) error {
	method, err := members.Text("token_endpoint_auth_method")
	others, errOthers := members.Texts("token_endpoint_auth_methods_supported")
	switch {
	case err != nil || errOthers != nil:
		return strictjson.ErrType
	case method == "" || method == "none" || slices.Contains(others, "none"):
		return nil
	}
	return errDocumentMethod
}
