package vouchtest

import (
	"errors"
	"net"
	"net/http"
	"time"

	"mcp-credential-broker/broker/vouchtest/ststest"
)

const readHeaderTimeout = 10 * time.Second

// A Stack is a Vouch and an STS that listen on loopback: a Vouch that approves
// everybody is for this machine only.
type Stack struct {
	Vouch *Vouch
	STS   *ststest.STS
	// VouchURL and STSURL have no trailing slash.
	VouchURL, STSURL string

	servers []*http.Server
}

// Start listens on free ports and serves until Close. An empty Issuer becomes
// Vouch's URL.
func Start(o Options) (*Stack, error) {
	s := &Stack{}
	err := s.start(o)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(o Options) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.VouchURL = "http://" + l.Addr().String()
	if o.Issuer == "" {
		o.Issuer = s.VouchURL
	}
	if s.Vouch, err = New(o); err != nil {
		return errors.Join(err, l.Close())
	}
	s.serve(l, s.Vouch)
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	s.STSURL = "http://" + l.Addr().String()
	s.STS = NewSTS(s.Vouch)
	s.serve(l, s.STS)
	return nil
}

// NewSTS returns an STS to which Vouch is the one OIDC provider of every account.
func NewSTS(v *Vouch) *ststest.STS {
	return ststest.New(v.options.Issuer, v.keys.public, v.options.Now)
}

func (s *Stack) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // ends with http.ErrServerClosed
}

// Close stops listening and drops every connection.
func (s *Stack) Close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
