package grant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mcp-credential-broker/broker/github"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/openssh"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// A failure is what the client learns: one sentence that says what happened and
// what to do next. Its JSON is the published guide's error form. Nothing that
// an upstream server wrote comes into it.
type failure struct {
	Message string `json:"error"`
	Status  int    `json:"status"`
	outcome string
	// Link is where a person can approve the call. It is in the Message too, for
	// models, and not in the log: logged stands there in place of the Message.
	Link   string `json:"approve_at,omitempty"`
	logged string
	// RetryAfter is the wait of the broker's own limit, in seconds.
	RetryAfter int `json:"retry_after,omitempty"`
}

// A hopName names an upstream server in sentences and in the audit.
type hopName string

const (
	hopVouch hopName = "Vouch"
	hopSTS   hopName = "AWS STS"
)

// A hopError says which upstream server err comes from.
type hopError struct {
	to  hopName
	err error
}

func (e hopError) Error() string { return string(e.to) + ": " + e.err.Error() }
func (e hopError) Unwrap() error { return e.err }

// An inputError is a fault of the arguments, told to the client as it is.
type inputError string

func (e inputError) Error() string { return string(e) }

// errDeclined says that the person did not allow this kind of credential.
var errDeclined = errors.New("scope declined on the consent page")

const declined = "you declined this kind of credential when you signed in; reconnect to allow it"

// errTooOften says that the person has had too many of these credentials.
var errTooOften = errors.New("limit of the person and tool is used up")

// A deniedError is a decision of the policy, told to the client as it is.
type deniedError string

func (e deniedError) Error() string { return "policy" }

// errState says that a call answers a question that was not asked.
var errState = errors.New("request state is not ours")

// signInEnded reports whether Vouch no longer knows the caller's token.
func signInEnded(err error) bool {
	var refusal *vouch.Error
	return errors.As(err, &refusal) && refusal.Status == http.StatusUnauthorized &&
		(refusal.Code == "invalid_token" || refusal.Code == "unauthorized")
}

func invalid(format string, args ...any) error { return inputError(fmt.Sprintf(format, args...)) }

// explain is the one place where an error becomes a sentence and a status.
func (c *call) explain(err error) failure {
	var input inputError
	var denied deniedError
	var wanted approvalError
	var hop hopError
	var fromVouch *vouch.Error
	var fromSTS *sts.Error
	switch {
	case errors.As(err, &input):
		return failure{Message: string(input), Status: http.StatusBadRequest, outcome: "refused"}
	case errors.Is(err, errDeclined):
		return failure{Message: declined, Status: http.StatusForbidden, outcome: "refused"}
	case errors.As(err, &denied):
		return failure{Message: string(denied), Status: http.StatusForbidden, outcome: "refused"}
	case errors.As(err, &wanted):
		return failure{
			Message: wanted.sentence + ": " + wanted.link + " . " + wanted.then, Status: http.StatusForbidden, outcome: "refused",
			Link: wanted.link, logged: wanted.sentence,
		}
	case errors.Is(err, errForm):
		return failure{Message: "the credential has a character that this format cannot hold, so it was not handed out; call again with the format json", Status: http.StatusBadGateway, outcome: "failed"}
	case errors.Is(err, errTooOften):
		seconds := upstream.WholeSeconds(limit.Period)
		return failure{
			Message: fmt.Sprintf("you have had too many of these credentials; try again in %d s, and use one until it expires", seconds),
			Status:  http.StatusTooManyRequests, outcome: "refused", RetryAfter: seconds,
		}
	case errors.Is(err, errState):
		return failure{Message: "requestState was not issued by this server", Status: http.StatusBadRequest, outcome: "refused"}
	case errors.Is(err, vouch.ErrRequestTooLarge):
		return failure{Message: "these arguments are too long for Vouch; name fewer repositories at once", Status: http.StatusBadRequest, outcome: "refused"}
	case errors.Is(err, context.Canceled):
		return failure{Message: "the client hung up before anything was issued; call again", Status: 499, outcome: "canceled"}
	case errors.As(err, &fromVouch):
		return c.explainVouch(fromVouch)
	case errors.As(err, &fromSTS):
		return c.explainSTS(fromSTS)
	case errors.As(err, &hop):
		return explainHop(hop)
	}
	return failure{Message: "the broker failed on this call; try again, and tell its operator if that does not help", Status: http.StatusInternalServerError, outcome: "failed"}
}

// explainHop is for hops that brought no usable answer.
func explainHop(e hopError) failure {
	f := failure{outcome: "failed", Status: http.StatusBadGateway}
	switch {
	case errors.Is(e.err, upstream.ErrTimeout), errors.Is(e.err, upstream.ErrNoTime):
		f.Status = http.StatusGatewayTimeout
		f.Message = fmt.Sprintf("%s did not answer in time; try again in a moment", e.to)
	case errors.Is(e.err, upstream.ErrUnreachable):
		f.Message = fmt.Sprintf("%s could not be reached; try again in a moment", e.to)
	case errors.Is(e.err, upstream.ErrRedirect):
		f.Message = fmt.Sprintf("%s answered with a redirect, which is not followed; the operator should check the configured address", e.to)
	default: // too large, malformed, or not what was asked for
		f.Message = fmt.Sprintf("%s gave an answer that could not be used, so nothing was handed out; try again, and tell the operator if that does not help", e.to)
	}
	return f
}

// vouchSentences are for the codes of Vouch's refusals (docs/vouch.md 2.4 and
// 2.6). ISSUER stands for Vouch's URL.
var vouchSentences = map[string]string{
	"unauthorized":           "Vouch no longer accepts this sign-in; reconnect to sign in again",
	"invalid_token":          "Vouch no longer accepts this sign-in; reconnect to sign in again",
	"user_not_found":         "Vouch does not know the person of this sign-in any more; reconnect to sign in again",
	"hardware_required":      "Vouch wants a sign-in with the hardware key; reconnect and use the key",
	"invalid_role_arn":       "Vouch did not accept role_arn; check it",
	"rsa_key_unavailable":    "this Vouch has no RSA key, so it cannot vouch to AWS; its operator must set one up",
	"github_not_configured":  "this Vouch has no GitHub App; its operator must set one up",
	"github_not_connected":   "GitHub is not connected for this owner; an administrator can connect it at ISSUER/github/connect",
	"org_required":           "GitHub tokens need an organisation at Vouch; ask your Vouch administrator to add you to one",
	"owner_required":         "several GitHub accounts are connected; name one in the argument owner",
	"installation_suspended": "the GitHub App is suspended for this owner; an owner of it can unsuspend the app in GitHub's settings",
	"github_error":           "GitHub refused or failed; check the names of owner and repositories, then try again",
	"ssh_ca_not_configured":  "this Vouch has no SSH certificate authority; its operator must set one up",
}

// explainVouch is for Vouch's refusals.
func (c *call) explainVouch(e *vouch.Error) failure {
	f := failure{Status: e.Status, outcome: "failed"}
	sentence, known := vouchSentences[e.Code]
	switch {
	case e.Unsigned && c.relays():
		f.Message = "this Vouch requires signed requests, which relay mode cannot make: the operator must use sign-in mode, or a Vouch server older than v2026.6.3"
	case known:
		f.Message = strings.ReplaceAll(sentence, "ISSUER", c.desk.config.Vouch.Issuer)
	case e.Status == http.StatusUnauthorized:
		f.Message = "Vouch refused the broker's request; the operator should check the broker's configuration and clock"
	case e.Code == "signing_failed" && e.Status == http.StatusBadRequest:
		f.Message = "Vouch would not sign this public key; try one of another type, such as ssh-ed25519"
	case e.Status == http.StatusTooManyRequests:
		f.Message = fmt.Sprintf("Vouch has had too many requests; try again in %d s", upstream.WholeSeconds(e.RetryAfter))
	case e.Status >= 500 || e.Status == http.StatusRequestTimeout:
		f.Message = fmt.Sprintf("Vouch failed (status %d); try again in %s", e.Status, waitFor(e.RetryAfter))
	default:
		f.Message = fmt.Sprintf("Vouch refused the request (status %d); check the arguments, and ask your Vouch administrator if they are right", e.Status)
	}
	return f
}

// stsSentences are for the codes of AssumeRoleWithWebIdentity (docs/vouch.md
// 12.3). HOST stands for that of Vouch's URL, under which IAM knows the provider.
var stsSentences = map[string]string{
	"AccessDenied":            "AWS refused: the role does not exist or its trust policy does not admit you; its owner can check the policy's conditions against Vouch's documentation",
	"ExpiredTokenException":   "AWS found Vouch's token expired; try again, and if it recurs the clocks of Vouch and AWS differ",
	"InvalidIdentityToken":    "AWS could not verify Vouch's token; try again, and if it recurs the account needs an IAM OIDC provider for HOST with the right audience",
	"IDPCommunicationError":   "AWS could not reach Vouch for its keys; try again in a moment",
	"IDPRejectedClaim":        "AWS refused Vouch's token; reconnect to sign in again",
	"RegionDisabledException": "STS is not active in that region for this account; name another in the argument region",
	"PackedPolicyTooLarge":    "session policies and tags are together too large for AWS; shorten the argument policy, or ask your Vouch administrator to shorten the tags",
	"MalformedPolicyDocument": "AWS could not read the argument policy; give a policy document in JSON as IAM has it",
	"ValidationError":         "AWS refused the request as invalid; most often duration_seconds exceeds the role's maximum session duration, so ask for less",
}

// explainSTS is for the refusals of STS.
func (c *call) explainSTS(e *sts.Error) failure {
	f := failure{Status: e.Status, outcome: "failed"}
	sentence, known := stsSentences[e.Code]
	switch {
	case known:
		_, host, _ := strings.Cut(c.desk.config.Vouch.Issuer, "://")
		f.Message = strings.ReplaceAll(sentence, "HOST", host)
	case e.Throttled():
		f.Status = http.StatusTooManyRequests // AWS says 400
		f.Message = fmt.Sprintf("AWS STS has had too many requests; try again in %d s", upstream.WholeSeconds(cmp.Or(e.RetryAfter, stsWait)))
	case e.Status >= 500:
		f.Message = fmt.Sprintf("AWS STS failed (status %d); try again in %s", e.Status, waitFor(e.RetryAfter))
	default:
		f.Message = fmt.Sprintf("AWS STS refused the request (status %d); check role_arn and region", e.Status)
	}
	return f
}

// waitFor tells the wait that a server in trouble asked for, if it did.
func waitFor(wait time.Duration) string {
	if wait <= 0 {
		return "a moment"
	}
	return fmt.Sprintf("%d s", upstream.WholeSeconds(wait))
}

// reasonOf is what the audit tells beyond the sentence: a code of upstream's,
// or our own words for the failure. Neither holds anything that a client sent.
func reasonOf(err error) string {
	var input inputError
	if errors.As(err, &input) {
		return ""
	}
	return err.Error()
}

// inputSentences are for the faults that the validating packages find.
var inputSentences = []struct {
	fault    error
	sentence string
}{
	{openssh.ErrPrivateKey, "this is a private key, and it was not sent anywhere; give the public key, the one line in the .pub file, and consider the private one exposed"},
	{openssh.ErrCertificate, "this is a certificate already; give the plain public key, the one line in the .pub file"},
	{openssh.ErrOptions, "public_key must be one line, type and base64, without the options of an authorized_keys file"},
	{openssh.ErrMultipleLines, "public_key must be one line; give one key at a time"},
	{openssh.ErrNotOneLine, "public_key must be in OpenSSH's one-line form; ssh-keygen -i converts other forms"},
	{openssh.ErrUnsupported, "keys of this type cannot be signed; use another, such as ssh-ed25519"},
	{openssh.ErrKeySize, "an RSA key must have 1024 to 16384 bits; use another, such as ssh-ed25519"},
	{openssh.ErrTooLong, "public_key is too long for a key; give the one line in the .pub file"},
	{openssh.ErrMalformed, "public_key must be the one line in the .pub file, such as ssh-ed25519 AAAA..."},
	{github.ErrOwner, "owner must be the name of a GitHub user or organisation"},
	{github.ErrRepository, "repositories must be names of repositories at github.com, such as website, acme/website or https://github.com/acme/website"},
	{github.ErrOwnerMissing, "name the owner of the repositories in the argument owner"},
	{github.ErrOwnersDiffer, "one token reaches the repositories of one owner; ask once for each owner"},
	{github.ErrNoRepositories, "repositories is empty; name some, or leave it out for all that the installation reaches"},
	{github.ErrTooManyRepositories, "one token reaches at most 500 repositories"},
}

// inputOf turns a fault of an argument into its sentence. None quotes what was
// given.
func inputOf(err error) error {
	for _, s := range inputSentences {
		if errors.Is(err, s.fault) {
			return inputError(s.sentence)
		}
	}
	return err
}
