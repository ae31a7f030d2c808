package sts

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

var (
	// ErrRole says that a role ARN breaks IAM's grammar or names a partition
	// that does not exist.
	ErrRole = errors.New("role ARN is not valid")
	// ErrRegion says that a region is not one of the partition's.
	ErrRegion = errors.New("region does not belong to the partition")
	// ErrPolicies says that session policies are larger than STS takes, or hold
	// characters that it does not.
	ErrPolicies = errors.New("session policies are not valid")
	// ErrInput says that another input breaks a constraint of the action.
	ErrInput = errors.New("AssumeRoleWithWebIdentity input is not valid")
	// ErrMalformed says that STS reported success with an answer that cannot be
	// read or lacks a credential.
	ErrMalformed = errors.New("malformed STS answer")
)

// An Error is a refusal by STS. The message that came with it is dropped: it
// may quote the request.
type Error struct {
	// Status is the HTTP status, outside 200 to 299.
	Status int
	// Code is STS's name for the reason, e.g. "AccessDenied"; at most 39
	// letters, digits and dots. It is empty when there was none to read.
	Code string
	// RetryAfter is the wait that STS asks for, 0 to 1 hour.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	text := "STS answered with status " + strconv.Itoa(e.Status)
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	return text
}

// Retryable reports whether the same request may succeed a little later.
func (e *Error) Retryable() bool {
	return e.Status >= 500 || e.Code == "IDPCommunicationError" || e.Throttled()
}

// Throttled reports whether there were too many requests, which AWS says with
// status 400 in many words: those of its SDKs.
func (e *Error) Throttled() bool {
	switch e.Code {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException",
		"PriorRequestNotComplete", "SlowDown", "EC2ThrottledException":
		return true
	}
	return e.Status == http.StatusTooManyRequests
}
